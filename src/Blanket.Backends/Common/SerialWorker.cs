using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>
/// Work on state that belongs to nobody but the worker: whoever has news calls <see cref="Kick"/>, one CPU at a time does the work,
/// and a CPU that finds it being done leaves its news to that one. So nobody ever waits and no lock is held while grants
/// are pinned, ports notified and devices told, whose locks come before the backends' in the order of locks.
/// </summary>
public abstract class SerialWorker
{
    /// <summary>Rounds of one turn: guests on other CPUs must not keep this CPU here.</summary>
    private const int MaximumRounds = 4;

    private SoleWorker _turn;

    private protected SerialWorker(BackendBus bus, Domain guest)
    {
        Bus = bus;
        Guest = guest;
        Payer = guest;
    }

    /// <summary>The guest whose work it is.</summary>
    internal Domain Guest { get; }

    /// <summary>The guest whose CPU time the next turn takes. Only for the bus.</summary>
    internal Domain Payer { get; set; }

    /// <summary>The machine's backends.</summary>
    private protected BackendBus Bus { get; }

    /// <summary>Whether a handler that did its work was abandoned.</summary>
    internal bool WasAbandoned { get; private set; }

    /// <summary>Next worker in the queue of a CPU.</summary>
    internal SerialWorker? NextReady { get; set; }

    /// <summary>Says that there is news. The work is done before the outermost call of this kind on this CPU returns, or by the CPU that is at it.</summary>
    internal void Kick()
    {
        if (_turn.TryBegin())
        {
            Bus.Run(this);
        }
    }

    /// <summary>Does a turn of the work. Only for the bus, which calls it for a worker that was queued.</summary>
    /// <returns>Whether more is to be done in another turn. Until then its news stays, so that nobody else starts meanwhile.</returns>
    internal bool Work()
    {
        for (int round = 1; ; round++)
        {
            int seen = _turn.Seen;
            bool hasMore = Round();
            if (!hasMore && _turn.TryEnd(seen))
            {
                return false;
            }

            if (MayBePutOff && (round == MaximumRounds || Bus.MustGiveWay))
            {
                return true;
            }
        }
    }

    /// <summary>The handler that did the work was abandoned: others may work again.</summary>
    internal virtual void Abandoned()
    {
        WasAbandoned = true;
        _turn.Abandon();
        Kick();
    }

    /// <summary>Whether the worker lives until its next turn.</summary>
    private protected virtual bool MayBePutOff => true;

    /// <summary>One bounded round of work; only ever on one CPU at a time. True when it is known that more can be done at once.</summary>
    private protected abstract bool Round();
}
