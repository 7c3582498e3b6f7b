//! The one who asks: what may be asked again is asked again, and every end is a sentence.

use super::{Api, Call, Does, Method};
use anyhow::{Context, Result, bail};
use reqwest::StatusCode;
use reqwest::blocking::{Request, Response};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde_json::Value;
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// How often what is safe to repeat is tried.
const TRIES: u32 = 5;
/// Longest wait that a provider may ask for, in seconds.
const PATIENCE: u64 = 120;
const LIMIT: Duration = Duration::from_secs(60);

/// Talks to one API.
pub struct Client<'a> {
    /// Which.
    pub api: &'a dyn Api,
    base: String,
    region: String,
    /// Whether it is another address, for tests.
    elsewhere: bool,
    credentials: Vec<String>,
    token: RefCell<Option<(String, Instant)>>,
    http: reqwest::blocking::Client,
    pause: Duration,
}

/// It may have been done, or not.
#[derive(Debug)]
struct Unclear(String);

impl std::fmt::Display for Unclear {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unclear {}

/// Whether what was asked may have been done all the same.
pub fn is_unclear(error: &anyhow::Error) -> bool {
    error.is::<Unclear>()
}

enum Outcome {
    Done(Value),
    Again(Duration, anyhow::Error),
    Failed(anyhow::Error),
}

impl<'a> Client<'a> {
    /// For `api` of a region at its own address, or at another one for tests; `pause` is waited before the first repetition, and
    /// doubles. The credentials are in the order of [`Api::variables`].
    pub fn new(api: &'a dyn Api, base: Option<&str>, region: &str, credentials: Vec<String>, pause: Duration) -> Result<Self> {
        let http = crate::http::client()
            .timeout(LIMIT)
            // A token goes nowhere but where it belongs.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("setting up HTTP")?;
        let elsewhere = base.is_some();
        let base = base.map_or_else(|| api.base(region), |base| base.trim_end_matches('/').to_owned());
        Ok(Self { api, base, region: region.to_owned(), elsewhere, credentials, token: RefCell::new(None), http, pause })
    }

    /// Waits a little before what may lag behind is asked for again.
    pub fn rest(&self) {
        std::thread::sleep(self.pause * 5);
    }

    /// The credentials, in the order of [`Api::variables`].
    pub fn credentials(&self) -> &[String] {
        &self.credentials
    }

    /// The region that is talked to.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Another address of the provider; in tests all are one.
    pub fn other(&self, base: &str) -> String {
        if self.elsewhere { self.base.clone() } else { base.to_owned() }
    }

    /// As an option of `list` and `destroy`, where each region has an API of its own.
    pub fn region_option(&self) -> String {
        if self.api.regional() { format!(" --region {}", self.region) } else { String::new() }
    }

    /// The token of this session; `ask` says also how long one lasts.
    pub fn token(&self, ask: impl FnOnce() -> Result<(String, Duration)>) -> Result<String> {
        let known = self.token.borrow().clone();
        if let Some((token, _)) = known.filter(|(_, until)| Instant::now() < *until) {
            return Ok(token);
        }
        let (token, lasts) = ask()?;
        // A call takes its time, too.
        let until = Instant::now() + lasts.saturating_sub(LIMIT);
        *self.token.borrow_mut() = Some((token.clone(), until));
        Ok(token)
    }

    /// Posts a form; what is not answered with JSON is an error.
    pub fn form(&self, url: String, fields: &[(&str, &str)]) -> Result<Value> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let sent = self.http.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body).send();
        let answer = sent.map_err(|error| anyhow::anyhow!("{} cannot be reached for a token: {}", self.title(), cause(&error)))?;
        let status = answer.status();
        let json = answer.bytes().ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        match json {
            Some(json) if status.is_success() => Ok(json),
            json => {
                let said = json.as_ref().and_then(message).map(|text| format!(" ({text})")).unwrap_or_default();
                bail!("{} gives no token for the credentials in {}: {status}{said}", self.title(), self.names())
            }
        }
    }

    /// The variables, as people are told of them.
    fn names(&self) -> String {
        let needed = self.api.variables().iter().filter(|variable| variable.needed);
        needed.map(|variable| variable.names[0]).collect::<Vec<_>>().join(", ")
    }

    /// The provider, as people call it.
    pub fn title(&self) -> &'static str {
        self.api.provider().title
    }

    /// Where a call goes.
    pub fn url(&self, call: &Call) -> String {
        format!("{}{}", self.base, call.path)
    }

    /// Sends a call; `null` where the answer is empty.
    pub fn send(&self, call: &Call) -> Result<Value> {
        let mut pause = self.pause;
        for attempt in 1.. {
            match self.once(call) {
                Outcome::Done(value) => return Ok(value),
                Outcome::Failed(error) => return Err(error),
                Outcome::Again(_, error) if attempt == TRIES => return Err(error.context(format!("{TRIES} times"))),
                Outcome::Again(wait, _) => std::thread::sleep(wait.max(pause)),
            }
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    fn once(&self, call: &Call) -> Outcome {
        let request = match self.request(call) {
            Ok(request) => request,
            Err(error) => return Outcome::Failed(error),
        };
        match self.http.execute(request) {
            Ok(response) => self.judge(call, response),
            // Nobody heard it.
            Err(error) if error.is_connect() => {
                Outcome::Again(Duration::ZERO, anyhow::anyhow!("{} cannot be reached: {}", self.title(), cause(&error)))
            }
            Err(error) => {
                let what = if error.is_timeout() { format!("did not answer within {} s", LIMIT.as_secs()) } else { format!("broke off: {}", cause(&error)) };
                self.unclear(call, format!("{} {what}", self.title()))
            }
        }
    }

    /// What is sent for a call.
    fn request(&self, call: &Call) -> Result<Request> {
        let url = self.url(call);
        let request = match call.method {
            Method::Get => self.http.get(url),
            Method::Post => self.http.post(url),
            Method::Delete => self.http.delete(url),
        };
        let request = match &call.body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(serde_json::to_vec(body)?),
            None => request,
        };
        let mut request = request.build().context("making a request")?;
        for (name, value) in &call.headers {
            request.headers_mut().insert(*name, HeaderValue::try_from(value.as_str())?);
        }
        self.api.authorize(self, &mut request)?;
        Ok(request)
    }

    /// What is safe to repeat is repeated.
    fn unclear(&self, call: &Call, said: String) -> Outcome {
        match call.does {
            Does::Makes => Outcome::Failed(Unclear(said).into()),
            Does::Reads | Does::Settles | Does::Removes => Outcome::Again(Duration::ZERO, Unclear(said).into()),
        }
    }

    fn judge(&self, call: &Call, response: Response) -> Outcome {
        let said_status = response.status();
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u64>().ok());
        let bytes = match response.bytes() {
            Ok(bytes) => bytes,
            Err(error) => return self.unclear(call, format!("the answer of {} was cut off: {}", self.title(), cause(&error))),
        };
        let json = serde_json::from_slice::<Value>(&bytes).ok();
        let status = self.api.status(said_status, json.as_ref());
        if status.is_success() {
            return match json {
                Some(value) => Outcome::Done(value),
                None if bytes.is_empty() => Outcome::Done(Value::Null),
                None => self.unclear(call, format!("{} answered with something that is no JSON", self.title())),
            };
        }
        let said = json.as_ref().and_then(message).map(|text| format!(" ({text})")).unwrap_or_default();
        let (title, names) = (self.title(), self.names());
        let sentence = match status {
            StatusCode::UNAUTHORIZED => format!("{title} does not know the token in {names}{said}: make a new one in its console"),
            StatusCode::FORBIDDEN => format!("the token in {names} may not do this{said}: it must be allowed to write, or the account is locked"),
            // It is gone, which is what was wanted.
            StatusCode::NOT_FOUND if call.does == Does::Removes => return Outcome::Done(Value::Null),
            StatusCode::NOT_FOUND => format!("{title} knows nothing at {}{said}", call.path),
            StatusCode::CONFLICT => format!("{title} is busy with it, or has one of that name{said}"),
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => {
                format!("{title} does not take the order{said}: look at --region, --size, --image and --name")
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = wait.unwrap_or_default();
                let error = anyhow::anyhow!("{title} was asked too often{said}: wait, and try again");
                // It was not looked at, so it may be asked again, whatever it is.
                return if wait > PATIENCE { Outcome::Failed(error) } else { Outcome::Again(Duration::from_secs(wait), error) };
            }
            _ if status.is_server_error() => return self.unclear(call, format!("{title} has trouble of its own: {status}{said}")),
            _ => format!("{title} answered {status}{said}"),
        };
        Outcome::Failed(anyhow::anyhow!(sentence))
    }
}

/// Proves who asks by a token.
pub fn bearer(request: &mut Request, token: &str) -> Result<()> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).context("the token has characters that no token has")?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

/// What a provider says of an error, wherever it says it, in one short line.
fn message(json: &Value) -> Option<String> {
    let error = &json["error"];
    let found = [&error["message"], error, &json["message"], &json["error_description"]].into_iter().find_map(Value::as_str)?;
    let line: String = found.chars().map(|character| if character.is_control() { ' ' } else { character }).take(300).collect();
    Some(line.trim().trim_end_matches('.').to_owned())
}

/// The deepest cause: those above it only say that there was an error.
pub fn cause(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    deepest.to_string()
}
