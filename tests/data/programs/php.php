<?php

declare(strict_types=1);

namespace House\Queue;

use InvalidArgumentException;
use function array_map;

enum Level: string
{
    case Low = 'low';
    case High = 'high';

    public static function of(int $size): self
    {
        return match (true) {
            $size < 10 => self::Low,
            default => self::High,
        };
    }
}

#[Attribute(Attribute::TARGET_CLASS)]
final class Queue implements \Countable
{
    private const LIMITS = ['small' => 1_000, 'large' => 10 ** 6];

    public function __construct(
        private readonly array $items = [],
        protected ?string $name = null,
    ) {
    }

    public function count(): int
    {
        return \count($this->items);
    }

    /** @return iterable<int, string> */
    public function each(callable|\Closure $keep, string ...$more): iterable
    {
        foreach ([...$this->items, ...$more] as $key => $item) {
            if (!$keep($item)) {
                continue;
            }
            yield $key => "{$item['name']} of {$this->name}" . PHP_EOL;
        }
    }

    public function doubled(): static
    {
        $double = fn (int|float $n): int|float => $n * 2;
        try {
            return new static(array_map($double, $this->items), name: $this?->name ?? 'none');
        } catch (InvalidArgumentException | \TypeError $e) {
            throw $e;
        }
    }
}

['a' => $a, 'b' => [$b]] = ['a' => 1, 'b' => [2]];
echo <<<TEXT
    $a and ${b}
    TEXT;
