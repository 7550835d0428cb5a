package dev.edgekit.latency.core

/** What cannot be accepted; [code] is the same word in every language. */
class ContractException(val code: String, message: String) : Exception(message)

internal fun require(code: String, holds: Boolean, what: Any?) {
    if (!holds) throw ContractException(code, "$code: $what".take(300))
}

/** The members of one JSON object, asked for by name and type; exactly these keys, or the code is `shape`. */
internal class Fields(value: Any?, keys: List<String>, private val where: String) {
    private val values: Map<*, *>

    init {
        if (value !is Map<*, *>) throw wrong("is no object")
        value.keys.firstOrNull { it !in keys }?.let { throw wrong("has an unknown key $it") }
        keys.firstOrNull { it !in value.keys }?.let { throw wrong("lacks $it") }
        values = value
    }

    fun raw(key: String): Any? = values[key]

    fun isNull(key: String): Boolean = values[key] == null

    fun text(key: String): String = values[key] as? String ?: throw wrong("$key has to be a text")

    fun textOrNull(key: String): String? = if (isNull(key)) null else text(key)

    fun integer(key: String): Long = values[key] as? Long ?: throw wrong("$key has to be an integer")

    fun integerOrNull(key: String): Long? = if (isNull(key)) null else integer(key)

    fun flag(key: String): Boolean = values[key] as? Boolean ?: throw wrong("$key has to be true or false")

    fun flagOrNull(key: String): Boolean? = if (isNull(key)) null else flag(key)

    fun rows(key: String): List<Any?> = values[key] as? List<*> ?: throw wrong("$key has to be a list")

    fun integers(key: String): List<Long> = rows(key).map { it as? Long ?: throw wrong("$key has to hold integers") }

    fun integersOrNull(key: String): List<Long>? = if (isNull(key)) null else integers(key)

    private fun wrong(what: String) = ContractException("shape", "$where $what")
}
