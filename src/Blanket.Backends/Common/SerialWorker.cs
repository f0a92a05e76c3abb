using System.Threading;

namespace Blanket.Backends;

/// <summary>
/// Work on state that belongs to nobody but the worker: whoever has news calls <see cref="Kick"/>, one CPU at a time does the work,
/// and a CPU that finds it being done leaves its news to that one. So nobody ever waits and no lock is held while grants
/// are pinned, ports notified and devices told, whose locks come before the backends' in the order of locks.
/// </summary>
public abstract class SerialWorker
{
    /// <summary>Rounds that one call does before the rest waits for <see cref="BackendBus.Process"/>: guests on other CPUs must not keep this CPU here.</summary>
    private const int MaximumRounds = 4;

    private readonly BackendBus _bus;
    private int _signals;
    private int _isDeferred;

    private protected SerialWorker(BackendBus bus) => _bus = bus;

    /// <summary>Whether the rest of the work waits for <see cref="Resume"/>.</summary>
    internal bool IsDeferred => Volatile.Read(ref _isDeferred) != 0;

    /// <summary>Says that there is news: does the work now, unless another CPU is at it, which then sees the news.</summary>
    internal void Kick()
    {
        if (Interlocked.Increment(ref _signals) == 1)
        {
            Work();
        }
    }

    /// <summary>Goes on with work that was put off.</summary>
    internal void Resume()
    {
        if (Interlocked.Exchange(ref _isDeferred, 0) != 0)
        {
            Work();
        }
    }

    /// <summary>One bounded round of work; only ever on one CPU at a time. True when it is known that more can be done at once.</summary>
    private protected abstract bool Round();

    private void Work()
    {
        for (int round = 0; round < MaximumRounds; round++)
        {
            int seen = Volatile.Read(ref _signals);
            bool hasMore = Round();
            if (!hasMore && Interlocked.Add(ref _signals, -seen) == 0)
            {
                return;
            }
        }

        // The signals stay, so that nobody else starts meanwhile.
        Volatile.Write(ref _isDeferred, 1);
        _bus.RequestProcess();
    }
}
