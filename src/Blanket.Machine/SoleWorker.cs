using System.Threading;

namespace Blanket.Machine;

/// <summary>
/// Lets one CPU at a time do a piece of work that several have news for: whoever finds it being done leaves the news to that CPU, which looks again before it
/// ends. Nobody waits. Not to be copied.
/// </summary>
public struct SoleWorker
{
    private int _news;

    /// <summary>Says that there is news.</summary>
    /// <returns>Whether the caller is to do the work; otherwise another CPU is at it and will see to the news.</returns>
    public bool TryBegin() => Interlocked.Increment(ref _news) == 1;

    /// <summary>The news that a round of work begun now sees to, for <see cref="TryEnd"/>.</summary>
    public readonly int Seen => Volatile.Read(in _news);

    /// <summary>Ends the work after a round.</summary>
    /// <param name="seen"><see cref="Seen"/> at the beginning of the round.</param>
    /// <returns>False when there is news that the round may have missed: another one is to follow.</returns>
    public bool TryEnd(int seen) => Interlocked.Add(ref _news, -seen) == 0;

    /// <summary>Ends the work of a CPU that does not come back to it.</summary>
    public void Abandon() => Volatile.Write(ref _news, 0);
}
