namespace Blanket.Core.Scheduling;

/// <summary>
/// When long work that the hypervisor does for itself (taking a guest apart) has a CPU on which vCPUs run, too: at once while none wants the
/// CPU, otherwise in turns of <see cref="Turn"/> at most, after each of which vCPUs have the CPU for at least as long. So the work always comes
/// forward, and no vCPU waits for it for much longer than a turn. Only its CPU touches it.
/// </summary>
public sealed class LongWork
{
    /// <summary>Nanoseconds after which a turn is to end.</summary>
    public const ulong Turn = RunQueue.ShortestSlice;

    private bool _waits;
    private ulong _due;

    /// <summary>When the work is to have the CPU, ns since boot; ulong.MaxValue while there is none.</summary>
    public ulong Due => _waits ? _due : ulong.MaxValue;

    /// <summary>There is work.</summary>
    public void Request() => _waits = true;

    /// <summary>Whether the work has the CPU now.</summary>
    /// <param name="now">Nanoseconds since boot.</param>
    /// <param name="isIdle">Nothing else wants this CPU.</param>
    public bool MayBegin(ulong now, bool isIdle) => _waits && (isIdle || now >= _due);

    /// <summary>A turn is over.</summary>
    /// <param name="start">When it began, ns since boot.</param>
    /// <param name="now">Nanoseconds since boot.</param>
    /// <param name="hasMore">There is work for another turn.</param>
    public void End(ulong start, ulong now, bool hasMore)
    {
        _waits = hasMore;
        _due = now + (now > start + Turn ? now - start : Turn);
    }
}
