package house.queue

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow

@JvmInline
value class Id(val raw: String)

sealed interface Shape {
    data class Circle(val radius: Double) : Shape
    data object Empty : Shape
}

typealias Keep<T> = suspend (T) -> Boolean

class Store<in K : Any, out V>(private val items: Map<String, List<Int>> = emptyMap()) where K : Comparable<K> {
    var size: Int = 0
        private set
    val first by lazy { items.values.flatten().firstOrNull() ?: -1 }

    companion object {
        const val LIMIT = 1_000L

        @JvmStatic
        fun of(vararg names: String) = Store<String, Int>(names.associateWith { listOf(it.length) })
    }

    operator fun get(key: String): List<Int>? = items[key]?.filter { it > 0 }

    suspend fun each(keep: Keep<Int>): Flow<Int> = flow {
        for ((name, sizes) in items) {
            sizes.forEachIndexed { at, size ->
                if (!keep(size) || at !in 0..<10) return@forEachIndexed
                emit(size)
            }
            println("$name has ${sizes.size}: ${sizes.joinToString(separator = ", ") { "<$it>" }}")
        }
    }
}

inline fun <reified T> Any?.cast(): T? = this as? T

fun describe(shape: Shape?): String = when (shape) {
    is Shape.Circle -> if (shape.radius > 10) "large" else "small"
    Shape.Empty, null -> """
        nothing at all
    """.trimIndent()
}

fun main(args: Array<String>) {
    val handler = object : Runnable {
        override fun run() = Unit
    }
    try {
        handler.run()
    } catch (e: IllegalStateException) {
        throw RuntimeException(e)
    } finally {
        args.takeIf { it.isNotEmpty() }?.let(::println)
    }
}
