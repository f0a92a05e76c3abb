using System.Threading;

namespace Blanket.Backends;

/// <summary>
/// Work on state that belongs to nobody but the worker: whoever has news calls <see cref="Kick"/>, one CPU at a time does the work,
/// and a CPU that finds it being done leaves its news to that one. So nobody ever waits and no lock is held while grants
/// are pinned, ports notified and devices told, whose locks come before the backends' in the order of locks.
/// </summary>
public abstract class SerialWorker
{
    /// <summary>Rounds that one run does before the rest waits for <see cref="BackendBus.Process"/>: guests on other CPUs must not keep this CPU here.</summary>
    private const int MaximumRounds = 4;

    private int _signals;
    private int _isDeferred;

    private protected SerialWorker(BackendBus bus) => Bus = bus;

    /// <summary>The machine's backends.</summary>
    private protected BackendBus Bus { get; }

    /// <summary>Next worker in the queue of a CPU.</summary>
    internal SerialWorker? NextReady { get; set; }

    /// <summary>Says that there is news. The work is done before the outermost call of this kind on this CPU returns, or by the CPU that is at it.</summary>
    internal void Kick()
    {
        if (Interlocked.Increment(ref _signals) == 1)
        {
            Bus.Run(this);
        }
    }

    /// <summary>Goes on with work that was put off.</summary>
    internal void Resume()
    {
        if (Interlocked.Exchange(ref _isDeferred, 0) != 0)
        {
            Bus.Run(this);
        }
    }

    /// <summary>Does the work. Only for the bus, which calls it for a worker that was queued.</summary>
    internal void Work()
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

        Defer();
    }

    /// <summary>Puts the work off until <see cref="Resume"/>. The signals stay, so that nobody else starts meanwhile.</summary>
    internal void Defer()
    {
        Volatile.Write(ref _isDeferred, 1);
        Bus.RequestProcess();
    }

    /// <summary>The handler that did the work was abandoned: others may work again.</summary>
    internal virtual void Abandoned()
    {
        Volatile.Write(ref _signals, 0);
        Kick();
    }

    /// <summary>One bounded round of work; only ever on one CPU at a time. True when it is known that more can be done at once.</summary>
    private protected abstract bool Round();
}
