using System.Threading;
using Blanket.Core.Domains;

namespace Blanket.Backends;

/// <summary>
/// Work on a frontend's rings, which can be taken away: once it is told to stop, it ends what is in flight and never touches the rings again.
/// </summary>
internal abstract class RingWorker : SerialWorker
{
    private int _isOpen;
    private int _isBroken;
    private int _isDrained = 1;
    private ulong _wakeTime = BackendBus.Never;

    private protected RingWorker(BackendBus bus, Domain guest)
        : base(bus, guest)
    {
    }

    /// <summary>Whether the rings are in use by nobody: not started, or stopped and nothing is in flight any more.</summary>
    internal bool IsDrained => Volatile.Read(ref _isDrained) != 0;

    /// <summary>Whether the rings cannot be used any more, because the frontend broke their rules or the work on them failed.</summary>
    internal bool IsBroken => Volatile.Read(ref _isBroken) != 0;

    /// <summary>When it is to be kicked although there is no news; <see cref="BackendBus.Never"/> while it waits for no time.</summary>
    internal virtual ulong WakeTime => Volatile.Read(ref _wakeTime);

    /// <summary>Whether new work is to be taken from the rings.</summary>
    private protected bool IsOpen => Volatile.Read(ref _isOpen) != 0;

    /// <summary>Whether nothing is in flight.</summary>
    private protected abstract bool IsIdle { get; }

    /// <summary>Takes nothing more from the rings. <see cref="IsDrained"/> follows, with a call of <see cref="Report"/>.</summary>
    internal void BeginDetach()
    {
        Volatile.Write(ref _isOpen, 0);
        Kick();
    }

    /// <inheritdoc/>
    internal override void Abandoned()
    {
        // What is in flight is still ended.
        Break();
        base.Abandoned();
    }

    /// <summary>Has it kicked at a time of <see cref="BackendBus.Now"/>.</summary>
    private protected void WaitUntil(ulong time)
    {
        Volatile.Write(ref _wakeTime, time);
        Bus.RequestProcess();
    }

    /// <summary>It waits for no time any more.</summary>
    private protected void EndWait() => Volatile.Write(ref _wakeTime, BackendBus.Never);

    /// <summary>Whether what a rate limits may begin; if not, waits until it may.</summary>
    /// <param name="rate">The rate.</param>
    /// <param name="now">Nanoseconds, <see cref="BackendBus.Now"/>.</param>
    private protected bool MayBegin(in PacedClock rate, ulong now)
    {
        if (rate.MayBegin(now))
        {
            return true;
        }

        WaitUntil(rate.Resume);
        return false;
    }

    /// <summary>Starts on rings that are set up.</summary>
    private protected void Open()
    {
        Volatile.Write(ref _isBroken, 0);
        Volatile.Write(ref _isOpen, 1);
        Volatile.Write(ref _isDrained, 0);
        Kick();
    }

    /// <summary>Gives the rings up; nothing more is taken from them.</summary>
    private protected void Break()
    {
        Volatile.Write(ref _isOpen, 0);
        Volatile.Write(ref _isBroken, 1);
        Report();
    }

    /// <summary>One bounded round of work; with <see cref="IsOpen"/> false only what ends things in flight. True when more can be done at once.</summary>
    private protected abstract bool WorkOnRings();

    /// <summary>Tells the owner that the rings are drained or broken.</summary>
    private protected abstract void Report();

    /// <inheritdoc/>
    // Whoever waits for the rings to be drained may free all this.
    private protected sealed override bool MayBePutOff => !IsDrained;

    /// <inheritdoc/>
    private protected sealed override bool Round()
    {
        if (IsDrained)
        {
            return false;
        }

        bool hasMore = WorkOnRings();
        if (!IsOpen && IsIdle)
        {
            Volatile.Write(ref _isDrained, 1);
            Report();
            return false;
        }

        return hasMore;
    }
}
