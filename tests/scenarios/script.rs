//! A scenario file as its parts: what it is for, and its input lines, each with what the file says came out for it.
//!
//! Nothing is lost: the parts written one after the other are the file again, byte for byte.

/// One scenario file.
pub(crate) struct Script {
    /// Everything before the first input line.
    pub(crate) opening: String,
    /// The input lines in order.
    pub(crate) inputs: Vec<Input>,
}

/// One input line.
pub(crate) struct Input {
    /// Its number in the file, from 1.
    pub(crate) line: usize,
    /// What stands behind `> `.
    pub(crate) words: String,
    /// The comments and blank lines that follow what came out for it, up to the next input line.
    pub(crate) trailing: Vec<String>,
}

impl Script {
    /// Takes a file apart.
    ///
    /// # Errors
    /// It does not open with a sentence of purpose, or holds no input line.
    pub(crate) fn read(text: &str) -> Result<Script, String> {
        let mut script = Script { opening: String::new(), inputs: Vec::new() };
        for (index, line) in text.lines().enumerate() {
            if let Some(words) = line.strip_prefix("> ") {
                let input = Input { line: index + 1, words: words.trim().to_owned(), trailing: Vec::new() };
                script.inputs.push(input);
            } else if let Some(input) = script.inputs.last_mut() {
                // What came out before is not read: the file as a whole is compared.
                if line.is_empty() || line.starts_with('#') {
                    input.trailing.push(line.to_owned());
                }
            } else {
                script.opening.push_str(line);
                script.opening.push('\n');
            }
        }
        if !script.opening.starts_with("# ") {
            return Err("line 1: a scenario opens with a sentence of purpose, as a `# ` comment".to_owned());
        }
        if script.inputs.is_empty() {
            return Err(format!("line {}: it ends without an input line: one begins with `> `", text.lines().count()));
        }
        Ok(script)
    }

    /// The file with what came out for each input line, in order.
    pub(crate) fn with_output(&self, output: &[Vec<String>]) -> String {
        let mut text = self.opening.clone();
        for (input, lines) in self.inputs.iter().zip(output) {
            let given = std::iter::once(format!("> {}", input.words));
            for line in given.chain(lines.iter().cloned()).chain(input.trailing.iter().cloned()) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }
}
