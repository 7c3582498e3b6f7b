"""The part of LogQL that dashboards use, read and evaluated over a list of log lines.

Log queries: a selector, line filters, `json`, `logfmt`, `regexp`, label filters, `line_format`, `keep`, `drop`, `unwrap`.
Metric queries: range functions, aggregations by labels, arithmetic and comparison. All else is refused with a sentence, never guessed.
"""
import json
import math
import operator
import re

TOKEN = re.compile(r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<range>\[\s*\w+\s*\])
|(?P<duration>\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)|(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)
|(?P<word>[A-Za-z_]\w*)|(?P<sign>\|=|\|~|!=|!~|=~|==|>=|<=|[-+*/%^(){},|=<>]))""", re.VERBOSE)
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
COMPARE = {"==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}
ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul, "%": math.fmod, "^": operator.pow,
              "/": lambda left, right: left / right if right else math.nan}
PRECEDENCE = [["or"], ["and", "unless"], list(COMPARE), ["+", "-"], ["*", "/", "%"], ["^"]]
TESTS = {"=": lambda have, want: have == want, "!=": lambda have, want: have != want,
         "=~": lambda have, want: re.fullmatch(want, have) is not None, "!~": lambda have, want: re.fullmatch(want, have) is None}
LINES = {"|=": lambda line, want: want in line, "!=": lambda line, want: want not in line,
         "|~": lambda line, want: re.search(want, line) is not None, "!~": lambda line, want: re.search(want, line) is None}
RANGES = {
    "count_over_time": lambda values, seconds: len(values), "rate": lambda values, seconds: len(values) / seconds,
    "bytes_over_time": lambda values, seconds: sum(values), "bytes_rate": lambda values, seconds: sum(values) / seconds,
    "sum_over_time": lambda values, seconds: sum(values), "avg_over_time": lambda values, seconds: sum(values) / len(values),
    "max_over_time": lambda values, seconds: max(values), "min_over_time": lambda values, seconds: min(values),
    "last_over_time": lambda values, seconds: values[-1], "quantile_over_time": None, "absent_over_time": None,
}
AGGREGATIONS = {"sum": sum, "min": min, "max": max, "count": len, "avg": lambda values: sum(values) / len(values),
                "topk": None, "bottomk": None}


class QueryError(Exception):
    """A query that is wrong, or that the stand-in does not know."""


def seconds(text):
    """The length of a duration like 1h30m."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdwy])", text)
    if not parts:
        raise QueryError(f"`{text}` is no duration")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def plain(text):
    """What a quoted string means."""
    try:
        return text[1:-1] if text[0] == "`" else json.loads(text)
    except ValueError:
        raise QueryError(f"invalid escape in {text}") from None


class Parser:
    """Reads a query into nested tuples."""

    def __init__(self, text):
        self.tokens, place = [], 0
        text = text.strip()
        while place < len(text):
            match = TOKEN.match(text, place)
            if not match:
                raise QueryError(f"syntax error at `{text[place:place + 20]}`")
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            place = match.end()
        self.tokens.append(("end", ""))

    def next(self, *wanted):
        """Takes the next token if it is one of those, or of that kind."""
        kind, text = self.tokens[0]
        if kind in wanted or (text in wanted and kind != "string"):
            return self.tokens.pop(0)[1]
        return None

    def need(self, *wanted):
        """Takes the next token, which must be one of those."""
        found = self.next(*wanted)
        if found is None:
            raise QueryError(f"syntax error: unexpected `{self.tokens[0][1] or 'end'}`, expecting {' or '.join(wanted)}")
        return found

    def whole(self):
        """The whole query."""
        found = self.expression(0)
        self.need("end")
        return found

    def expression(self, level):
        """Operators, the loosest first."""
        if level == len(PRECEDENCE):
            return self.term()
        left = self.expression(level + 1)
        while sign := self.next(*PRECEDENCE[level]):
            self.next("bool")
            left = ("binary", sign, left, self.expression(level + 1))
        return left

    def term(self):
        """A number, brackets, a function or a selector."""
        if number := self.next("number"):
            return ("number", float(number))
        if self.next("("):
            inner = self.expression(0)
            self.need(")")
            return inner
        if self.tokens[0][1] == "{":
            return ("lines", *self.selector())
        name = self.need("word")
        if name == "vector":
            self.need("(")
            number = float(self.need("number"))
            self.need(")")
            return ("number", number)
        if name in AGGREGATIONS:
            return self.aggregation(name)
        if name not in RANGES:
            raise QueryError(f"the stand-in does not know the function `{name}`")
        self.need("(")
        parameter = float(self.need("number")) if name == "quantile_over_time" else None
        if parameter is not None:
            self.need(",")
        selector, stages = self.selector()
        length = seconds(self.need("range").strip("[] \t"))
        self.need(")")
        return ("range", name, parameter, selector, stages, length, self.grouping())

    def grouping(self):
        """`by (a, b)`, `without (a)` or nothing."""
        word = self.next("by", "without")
        return (word, self.names()) if word else None

    def names(self):
        """(a, b)"""
        self.need("(")
        found = []
        while name := self.next("word"):
            found.append(name)
            self.next(",")
        self.need(")")
        return found

    def aggregation(self, name):
        """sum by (a) (...), or sum(...) by (a)."""
        group = self.grouping()
        self.need("(")
        number = None
        if name in ("topk", "bottomk"):
            number = int(float(self.need("number")))
            self.need(",")
        inner = self.expression(0)
        self.need(")")
        return ("aggregate", name, number, group or self.grouping(), inner)

    def selector(self):
        """{a="b"} and the stages after it."""
        self.need("{")
        matchers = []
        while name := self.next("word"):
            matchers.append((name, self.need(*TESTS), plain(self.need("string"))))
            self.next(",")
        self.need("}")
        if not any(TESTS[sign]("", want) is False for _, sign, want in matchers):
            raise QueryError("queries require at least one matcher that does not match the empty string")
        return matchers, self.stages()

    def stages(self):
        """Line filters and what stands behind bars."""
        found = []
        while sign := self.next("|=", "|~", "!=", "!~", "|"):
            if sign != "|":
                words = [plain(self.need("string"))]
                while self.next("or"):
                    words.append(plain(self.need("string")))
                found.append(("line", sign, words))
            else:
                found.append(self.stage(self.need("word", "(")))
        return found

    def stage(self, name):
        """One stage."""
        if name in ("json", "logfmt") and not self.tokens[0][0] == "word":
            return (name,)
        if name in ("regexp", "line_format"):
            return (name, plain(self.need("string")))
        if name in ("keep", "drop"):
            labels = [self.need("word")]
            while self.next(","):
                labels.append(self.need("word"))
            return (name, labels)
        if name == "unwrap":
            label = self.need("word")
            if self.next("("):
                label = (label, self.need("word"))
                self.need(")")
            return ("unwrap", label)
        if name in ("(", "pattern", "label_format", "decolorize", "unpack", "json", "logfmt"):
            raise QueryError(f"the stand-in does not know the stage `{name}` written like this")
        tests = [[self.test(name)]]
        while word := self.next("and", "or", ","):
            tests.append([]) if word == "or" else None
            tests[-1].append(self.test(self.need("word")))
        return ("test", tests)

    def test(self, name):
        """A label filter."""
        sign = self.need(*TESTS, *COMPARE)
        if self.tokens[0][0] == "string":
            return name, TESTS["=" if sign == "==" else sign], plain(self.need("string"))
        kind, text = self.tokens.pop(0)
        if kind not in ("number", "duration"):
            raise QueryError(f"syntax error: unexpected `{text}` in a label filter")
        want = float(text) if kind == "number" else seconds(text)
        compare = COMPARE["==" if sign == "=" else sign]
        return name, lambda have, want: compare(number(have), want), want


def number(text):
    """A label's value as a number; a duration in seconds."""
    try:
        return float(text)
    except ValueError:
        return seconds(text) if re.match(r"\d", text) else math.nan


def flat(value, prefix=""):
    """The fields of an object as labels."""
    for key, inner in value.items():
        name = prefix + re.sub(r"\W", "_", str(key))
        if isinstance(inner, dict):
            yield from flat(inner, name + "_")
        elif inner is not None and not isinstance(inner, list):
            yield name, inner if isinstance(inner, str) else json.dumps(inner)


def parsed(stage, line):
    """The labels that a parser finds in a line; a label for its failure."""
    if stage[0] == "json":
        try:
            return dict(flat(json.loads(line)))
        except (ValueError, AttributeError):
            return {"__error__": "JSONParserErr"}
    if stage[0] == "logfmt":
        pairs = re.findall(r'([^\s=]+)=("(?:\\.|[^"\\])*"|[^\s]*)', line)
        return {re.sub(r"\W", "_", key): plain(value) if value[:1] == '"' else value for key, value in pairs}
    match = re.search(re.sub(r"\(\?P?<", "(?P<", stage[1]), line)
    return {key: value or "" for key, value in match.groupdict().items()} if match else {}


def through(stages, labels, line):
    """Labels, line and unwrapped value after all stages; None when a filter drops the line."""
    labels, value = dict(labels), None
    for stage in stages:
        kind = stage[0]
        if kind == "line":
            kept = [LINES[stage[1]](line, word) for word in stage[2]]
            if not (any(kept) if stage[1].startswith("|") else all(kept)):
                return None
        elif kind in ("json", "logfmt", "regexp"):
            for name, found in parsed(stage, line).items():
                labels[name + "_extracted" if name in labels and not name.startswith("__") else name] = found
        elif kind == "test":
            if not any(all(test(labels.get(name, ""), want) for name, test, want in group) for group in stage[1]):
                return None
        elif kind == "line_format":
            line = re.sub(r"\{\{\s*\.(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), stage[1])
        elif kind in ("keep", "drop"):
            labels = {name: have for name, have in labels.items() if (name in stage[1]) == (kind == "keep")}
        elif kind == "unwrap":
            name = stage[1] if isinstance(stage[1], str) else stage[1][1]
            value = number(labels.pop(name, ""))
            if math.isnan(value):
                return None
    return labels, line, value


def matches(matchers, labels):
    """Whether a stream is selected."""
    return all(TESTS[sign](labels.get(name, ""), want) for name, sign, want in matchers)


def lines(store, node, start, end):
    """Labels, time and line of what a log query finds."""
    _, matchers, stages = node
    for labels, when, line in store(matchers, start, end):
        if kept := through(stages, labels, line):
            yield kept[0], when, kept[1]


def grouped(group, labels):
    """The labels that remain."""
    if group is None:
        return ()
    return tuple(sorted(item for item in labels if (item[0] in group[1]) == (group[0] == "by")))


def over(store, node, at):
    """A range function at one moment."""
    _, name, parameter, matchers, stages, length, group = node
    found = {}
    for labels, _, line in store(matchers, int((at - length) * 1e9), int(at * 1e9)):
        if kept := through(stages, labels, line):
            key = tuple(sorted(kept[0].items()))
            value = len(line.encode()) if kept[2] is None else kept[2]
            found.setdefault(grouped(group, key) if group else key, []).append(value)
    if name == "absent_over_time":
        return {} if found else {tuple((key, want) for key, sign, want in matchers if sign == "="): 1.0}
    if name == "quantile_over_time":
        return {key: quantile(sorted(values), parameter) for key, values in found.items()}
    return {key: float(RANGES[name](values, length)) for key, values in found.items()}


def quantile(values, part):
    """Between the neighbours, as Prometheus does."""
    place = part * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def evaluate(store, node, at):
    """The value of a metric query at one moment: labels and number, or a number alone."""
    if node[0] == "number":
        return node[1]
    if node[0] == "lines":
        raise QueryError("a log query has no number: use a function over a range")
    if node[0] == "range":
        return over(store, node, at)
    if node[0] == "binary":
        return binary(node[1], evaluate(store, node[2], at), evaluate(store, node[3], at))
    _, name, number_, group, inner = node
    vector = evaluate(store, inner, at)
    if not isinstance(vector, dict):
        raise QueryError(f"`{name}` wants a vector")
    if number_ is not None:
        ranked = sorted(vector.items(), key=lambda item: item[1], reverse=name == "topk")
        return dict(ranked[:number_])
    groups = {}
    for labels, value in vector.items():
        groups.setdefault(grouped(group, labels), []).append(value)
    return {labels: float(AGGREGATIONS[name](values)) for labels, values in groups.items()}


def binary(sign, left, right):
    """Two numbers, a vector and a number, or two vectors with the same labels."""
    if sign in ("or", "and", "unless"):
        if not (isinstance(left, dict) and isinstance(right, dict)):
            left, right = ({(): side} if not isinstance(side, dict) else side for side in (left, right))
        return {"or": lambda: {**right, **left}, "and": lambda: {key: left[key] for key in left if key in right},
                "unless": lambda: {key: left[key] for key in left if key not in right}}[sign]()
    if not isinstance(left, dict) and not isinstance(right, dict):
        return float((ARITHMETIC | COMPARE)[sign](left, right))
    both = isinstance(left, dict) and isinstance(right, dict)
    keys = [key for key in (left if isinstance(left, dict) else right) if not both or key in right]
    found = {}
    for key in keys:
        one, two = (side[key] if isinstance(side, dict) else side for side in (left, right))
        if sign in ARITHMETIC:
            found[key] = ARITHMETIC[sign](one, two)
        elif COMPARE[sign](one, two):
            found[key] = one if isinstance(left, dict) else two
    return found
