package house.queue

import scala.concurrent.{ExecutionContext, Future}
import scala.util.{Failure, Success, Try}

sealed trait Shape
final case class Circle(radius: Double) extends Shape
case object Empty extends Shape

enum Level(val size: Int):
  case Low extends Level(1)
  case High extends Level(10)

trait Codec[F[_], A]:
  extension (a: A) def encode: F[String]

given Codec[Option, Int] with
  extension (a: Int) def encode: Option[String] = Some(a.toString)

class Store[K <: Comparable[K], +V](private val items: Map[String, List[Int]] = Map.empty) {
  lazy val first: Option[Int] = items.values.flatten.headOption

  def each(keep: Int => Boolean)(implicit ec: ExecutionContext): Future[Seq[Int]] =
    Future {
      for {
        (name, sizes) <- items.toSeq
        size <- sizes if keep(size)
        twice = size * 2
      } yield twice
    }

  def describe(shape: Shape): String = shape match {
    case Circle(radius) if radius > 10 => s"large: ${radius.formatted("%.2f")}"
    case Circle(_) | Empty             => """a "raw" string"""
  }
}

object Main {
  type Result[T] = Either[Throwable, T]

  def main(args: Array[String]): Unit = {
    val total = args.map(_.length).foldLeft(0)(_ + _)
    Try(total / args.length) match {
      case Success(mean) => println(s"mean $mean")
      case Failure(e: ArithmeticException) => throw e
      case Failure(other) => ()
    }
    @volatile var n = 0
    while (n < 3) n += 1
  }
}
