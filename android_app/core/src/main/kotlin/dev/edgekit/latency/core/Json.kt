package dev.edgekit.latency.core

/**
 * JSON without fractions: null, booleans, 64-bit integers, text, lists, and objects whose keys are printable ASCII and stand there once; at most 32
 * levels deep. Values are `null`, [Boolean], [Long], [String], [List] and [Map].
 */
object Json {
    private const val DEEPEST = 32
    private const val LONGEST_NUMBER = 20

    /** @throws ContractException `json`: not of this form. */
    fun parse(text: String): Any? {
        val reader = Reader(text)
        reader.space()
        val value = reader.value(1)
        reader.space()
        if (!reader.atEnd()) throw reader.wrong("something follows the document")
        return value
    }

    /** Keys sorted, nothing spaced, what is not printable ASCII escaped: equal documents are equal bytes. */
    fun canonical(value: Any?): String = StringBuilder().also { write(value, it) }.toString()

    private fun write(value: Any?, out: StringBuilder) {
        when (value) {
            null -> out.append("null")
            is Boolean, is Long, is Int -> out.append(value)
            is String -> quote(value, out)
            is List<*> -> joined(value, '[', ']', out) { write(it, out) }
            is Map<*, *> -> joined(value.entries.sortedBy { it.key as String }, '{', '}', out) {
                quote(it.key as String, out)
                out.append(':')
                write(it.value, out)
            }
            else -> throw ContractException("json", "${value::class.simpleName} is not JSON")
        }
    }

    private fun <T> joined(parts: Collection<T>, first: Char, last: Char, out: StringBuilder, each: (T) -> Unit) {
        out.append(first)
        parts.forEachIndexed { number, part ->
            if (number > 0) out.append(',')
            each(part)
        }
        out.append(last)
    }

    private fun quote(text: String, out: StringBuilder) {
        out.append('"')
        for (character in text) {
            when (character) {
                '"' -> out.append("\\\"")
                '\\' -> out.append("\\\\")
                '\n' -> out.append("\\n")
                '\r' -> out.append("\\r")
                '\t' -> out.append("\\t")
                '\b' -> out.append("\\b")
                '\u000c' -> out.append("\\f")
                in ' '..'~' -> out.append(character)
                else -> out.append("\\u").append(character.code.toString(16).padStart(4, '0'))
            }
        }
        out.append('"')
    }

    private class Reader(private val text: String) {
        private var at = 0

        fun atEnd() = at == text.length

        fun wrong(what: String) = ContractException("json", "$what, at character $at")

        fun space() {
            while (at < text.length && text[at] in " \t\n\r") at++
        }

        fun value(depth: Int): Any? = when (peek()) {
            '{' -> items(depth, '}') { fields -> member(depth, fields) }.toMap()
            '[' -> items(depth, ']') { value(depth + 1) }
            '"' -> string()
            'n' -> word("null", null)
            't' -> word("true", true)
            'f' -> word("false", false)
            else -> number()
        }

        private fun peek(): Char = if (at < text.length) text[at] else throw wrong("the document ends")

        private fun <T> items(depth: Int, last: Char, item: (List<T>) -> T): List<T> {
            if (depth > DEEPEST) throw wrong("more than $DEEPEST levels deep")
            at++
            val found = ArrayList<T>()
            space()
            if (peek() == last) {
                at++
                return found
            }
            while (true) {
                space()
                found.add(item(found))
                space()
                when (peek()) {
                    ',' -> at++
                    last -> {
                        at++
                        return found
                    }
                    else -> throw wrong("neither a comma nor $last")
                }
            }
        }

        private val keys = ArrayList<HashSet<String>>()

        private fun member(depth: Int, before: List<Pair<String, Any?>>): Pair<String, Any?> {
            while (keys.size <= depth) keys.add(HashSet())
            if (before.isEmpty()) keys[depth].clear()
            if (peek() != '"') throw wrong("a key has to be a text")
            val key = string()
            if (key.any { it !in ' '..'~' }) throw wrong("a key is not printable ASCII")
            if (!keys[depth].add(key)) throw wrong("the key $key stands there twice")
            space()
            if (peek() != ':') throw wrong("no colon")
            at++
            space()
            return key to value(depth + 1)
        }

        private fun <T> word(name: String, value: T): T {
            if (!text.startsWith(name, at)) throw wrong("no JSON")
            at += name.length
            return value
        }

        private fun number(): Long {
            val from = at
            if (peek() == '-') at++
            val digits = at
            while (at < text.length && text[at] in '0'..'9') at++
            val whole = text.substring(from, at)
            if (at == digits || (at - digits > 1 && text[digits] == '0')) throw wrong("no number")
            if (at < text.length && text[at] in ".eE") throw wrong("no integer")
            if (whole.length > LONGEST_NUMBER) throw wrong("more than 64 bits")
            return whole.toLongOrNull() ?: throw wrong("more than 64 bits")
        }

        private fun string(): String {
            at++
            val out = StringBuilder()
            while (true) {
                val character = peek()
                at++
                when {
                    character == '"' -> break
                    character == '\\' -> out.append(escaped())
                    character < ' ' -> throw wrong("a control in a text")
                    else -> out.append(character)
                }
            }
            checkPairs(out)
            return out.toString()
        }

        private fun escaped(): Char {
            val character = peek()
            at++
            return when (character) {
                '"', '\\', '/' -> character
                'b' -> '\b'
                'f' -> '\u000c'
                'n' -> '\n'
                'r' -> '\r'
                't' -> '\t'
                'u' -> {
                    if (at + 4 > text.length) throw wrong("the document ends")
                    val digits = text.substring(at, at + 4)
                    if (!digits.all { it in '0'..'9' || it in 'a'..'f' || it in 'A'..'F' }) throw wrong("no hexadecimal digits")
                    at += 4
                    digits.toInt(16).toChar()
                }
                else -> throw wrong("no such escape")
            }
        }

        private fun checkPairs(text: CharSequence) {
            var number = 0
            while (number < text.length) {
                val high = text[number].isHighSurrogate()
                if (text[number].isLowSurrogate() || (high && (number + 1 >= text.length || !text[number + 1].isLowSurrogate()))) {
                    throw wrong("half a surrogate pair is no text")
                }
                number += if (high) 2 else 1
            }
        }
    }
}
