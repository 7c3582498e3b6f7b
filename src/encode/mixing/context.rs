//! What the model knows before each byte: the text so far, seen from several sides.

use super::hash;
use std::collections::HashMap;

/// The letters under which [`super::CONTEXTS`] knows the sides, in the order of [`Context::sides`]:
///
/// - `a b c`: the last byte, the one before it, the third last
/// - `w p q`: the word so far, the last one before it, the one before that
/// - `2 4 6`: that many of the last tokens, where a word is a token whatever it says
/// - `l`: the first word of the line
/// - `x`: what followed the last time that the last six bytes were the same, as long as that goes on
/// - `j J`: what followed the last four bytes the last time, and the last two times
/// - `m`: what followed this beginning of a word the last time
/// - `C`: the kinds of the last five bytes: lower case, upper case, digit, or the byte itself
/// - `P`: what stands before the word
/// - `B Q`: the innermost open bracket, the open quotation mark
pub const SIDES: &str = "abcwpq246lxjJmCPBQ";

/// The text so far.
#[derive(Debug)]
pub struct Context {
    text: Vec<u8>,
    /// The last six bytes.
    tail: u64,
    /// The word so far, the two before it, the first of the line.
    word: u64,
    words: [u64; 2],
    first: u64,
    /// The last six tokens, a byte each.
    tokens: u64,
    kinds: u64,
    before: u8,
    brackets: Vec<u8>,
    quote: u8,
    /// Where the text stood after the same six bytes, while it has gone on in the same way since; 0 is nowhere.
    same: usize,
    after_six: HashMap<u64, usize>,
    after_four: HashMap<u64, u64>,
    after_word: HashMap<u64, u64>,
}

impl Context {
    /// Nothing has been read.
    pub fn new() -> Self {
        Self {
            text: Vec::new(),
            tail: 0,
            word: 0,
            words: [0; 2],
            first: 0,
            tokens: 0,
            kinds: 0,
            before: 0,
            brackets: vec![0],
            quote: 0,
            same: 0,
            after_six: HashMap::new(),
            after_four: HashMap::new(),
            after_word: HashMap::new(),
        }
    }

    fn four(&self) -> u64 {
        self.tail & 0xffff_ffff
    }

    /// What a mixer's weights are chosen by.
    pub fn selector(&self) -> u64 {
        self.tokens & 0xffff
    }

    /// The sides, in the order of [`SIDES`].
    pub fn sides(&self) -> [u64; SIDES.len()] {
        let byte = |back: u32| self.tail >> (8 * back) & 255;
        let token = |count: u32| self.tokens & ((1 << (8 * count)) - 1);
        let after = self.after_four.get(&self.four()).copied().unwrap_or(0);
        let same = if self.same == 0 { 0 } else { u64::from(self.text[self.same]) + 1 };
        [
            byte(0),
            byte(1),
            byte(2),
            self.word,
            self.words[0],
            self.words[1],
            token(2),
            token(4),
            token(6),
            self.first,
            same,
            after & 255,
            after,
            self.after_word.get(&self.word).copied().unwrap_or(0),
            self.kinds,
            u64::from(self.before),
            u64::from(self.brackets.last().copied().unwrap_or(0)),
            u64::from(self.quote),
        ]
    }

    /// Takes the next byte in.
    pub fn push(&mut self, byte: u8) {
        let value = u64::from(byte);
        let after = self.after_four.entry(self.tail & 0xffff_ffff).or_insert(0);
        *after = *after << 8 & 0xff00 | value;
        self.after_word.insert(self.word, value);
        self.same = if self.same != 0 && self.text[self.same] == byte { self.same + 1 } else { 0 };
        self.text.push(byte);
        self.tail = (self.tail << 8 | value) & 0xffff_ffff_ffff;
        let before = self.after_six.insert(self.tail, self.text.len());
        if self.same == 0 {
            self.same = before.unwrap_or(0);
        }
        let in_word = byte == b'_' || byte > 127 || byte.is_ascii_alphanumeric();
        self.kinds = (self.kinds << 8 | if in_word { value >> 5 } else { value }) & 0xff_ffff_ffff;
        let token = if in_word { 1 } else { value };
        if !in_word || self.tokens & 255 != 1 {
            self.tokens = (self.tokens << 8 | token) & 0xffff_ffff_ffff;
        }
        if in_word {
            self.word = hash(self.word, value);
        } else {
            self.end_word(byte);
        }
    }

    fn end_word(&mut self, byte: u8) {
        if self.word != 0 {
            self.words = [self.word, self.words[0]];
            if self.first == 0 {
                self.first = self.word;
            }
        }
        self.word = 0;
        self.before = byte;
        match byte {
            b'(' | b'[' | b'{' => self.brackets.push(byte),
            b')' | b']' | b'}' if self.brackets.len() > 1 => {
                self.brackets.pop();
            }
            b'"' | b'\'' if self.quote == byte => self.quote = 0,
            b'"' | b'\'' if self.quote == 0 => self.quote = byte,
            b'\n' | 0 => {
                self.first = 0;
                self.quote = 0;
            }
            _ => {}
        }
    }
}
