using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;

namespace House.Queue;

public record Person(string Name, int Age)
{
    public required string? Email { get; init; }
}

public readonly record struct Point(double X, double Y = 0);

[Flags]
public enum Level : byte { Low = 1, High = 1 << 1 }

public interface IStore<in TKey, out TValue> where TKey : notnull
{
    TValue this[TKey key] { get; }
    event EventHandler? Changed;
}

public sealed class Store<T>(ILogger logger) : IAsyncDisposable where T : class, new()
{
    private readonly Dictionary<string, List<T>> _items = [];
    public int Count => _items.Values.Sum(list => list.Count);

    public async IAsyncEnumerable<T> ReadAsync(string key, int limit = 10)
    {
        await foreach (var item in LoadAsync(key).ConfigureAwait(false))
        {
            if (item is null or { } && limit-- <= 0) yield break;
            yield return item;
        }
    }

    public string Describe(object? thing) => thing switch
    {
        Person { Age: >= 18, Name: var name } => $"{name,-10} is {(name.Length > 3 ? "long" : "short")}",
        int[] and [var first, .., var last] => $"{first}..{last:N2}",
        (int x, int y) when x == y => nameof(x),
        null => throw new ArgumentNullException(nameof(thing)),
        _ => """a "raw" string""",
    };

    public async ValueTask DisposeAsync()
    {
        using var gate = new System.Threading.SemaphoreSlim(1);
        await gate.WaitAsync();
        var query = from item in _items
                    where item.Value.Count > 0
                    orderby item.Key descending
                    select new { item.Key, First = item.Value[^1] };
        foreach (var (key, _) in _items) logger?.Log(key ?? @"c:\none");
        try { checked { _ = query.Count(); } }
        catch (Exception e) when (e.Message.Length > 0) { throw; }
        finally { int Local(int n) => n <= 1 ? 1 : n * Local(n - 1); Local(3); }
    }

    public static Store<T> operator +(Store<T> a, Store<T> b) => a;
}
