package house.queue;

import java.util.*;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Shapes that know how large they are. */
public sealed interface Shape permits Circle, Square, Unit {
    double area();

    static <T extends Comparable<? super T>> Optional<T> largest(Collection<? extends T> all) {
        return all.stream().max(Comparator.naturalOrder()).map(Function.identity());
    }
}

record Circle(double radius) implements Shape {
    Circle {
        if (radius < 0) throw new IllegalArgumentException("radius: " + radius);
    }

    @Override
    public double area() {
        return Math.PI * radius * radius;
    }
}

record Square(double side) implements Shape {
    public double area() { return side * side; }
}

enum Unit implements Shape {
    POINT { @Override public double area() { return 0; } };
}

class Report {
    private static final String HEAD = """
        shape\tarea
        -----
        """;
    private final Map<String, List<Shape>> byName = new HashMap<>();

    @SuppressWarnings({"unchecked", "rawtypes"})
    String of(Object thing) {
        var text = switch (thing) {
            case Circle(double r) when r > 10 -> "large";
            case Circle c -> "circle " + c.radius();
            case null, default -> {
                yield "something";
            }
        };
        if (!(thing instanceof Shape shape)) {
            return text;
        }
        byName.computeIfAbsent(text, key -> new ArrayList<>()).add(shape);
        int[] sizes = {1, 2, 3};
        outer:
        for (int i = 0, n = sizes.length; i < n; i++) {
            while (sizes[i]-- > 0) continue outer;
        }
        try (var in = new Scanner(System.in)) {
            return HEAD + in.tokens().collect(Collectors.joining(", "));
        } catch (IllegalStateException | NoSuchElementException e) {
            throw new RuntimeException(e);
        }
    }
}
