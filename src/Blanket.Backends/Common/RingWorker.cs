using System.Threading;

namespace Blanket.Backends;

/// <summary>
/// Work on a frontend's rings, which can be taken away: once it is told to stop, it ends what is in flight and never touches the rings again.
/// </summary>
internal abstract class RingWorker : SerialWorker
{
    private int _isOpen;
    private int _isDrained = 1;

    private protected RingWorker(BackendBus bus)
        : base(bus)
    {
    }

    /// <summary>Whether the rings are in use by nobody: not started, or stopped and nothing is in flight any more.</summary>
    internal bool IsDrained => Volatile.Read(ref _isDrained) != 0;

    /// <summary>Whether new work is to be taken from the rings.</summary>
    private protected bool IsOpen => Volatile.Read(ref _isOpen) != 0;

    /// <summary>Whether nothing is in flight.</summary>
    private protected abstract bool IsIdle { get; }

    /// <summary>Takes nothing more from the rings. <see cref="IsDrained"/> follows, with a call of <see cref="Drained"/>.</summary>
    internal void BeginDetach()
    {
        Volatile.Write(ref _isOpen, 0);
        Kick();
    }

    /// <inheritdoc/>
    internal override void Abandoned()
    {
        // Its guest is crashed for it. What is in flight is still ended.
        Volatile.Write(ref _isOpen, 0);
        base.Abandoned();
    }

    /// <summary>Starts on rings that are set up.</summary>
    private protected void Open()
    {
        Volatile.Write(ref _isOpen, 1);
        Volatile.Write(ref _isDrained, 0);
        Kick();
    }

    /// <summary>One bounded round of work; with <see cref="IsOpen"/> false only what ends things in flight. True when more can be done at once.</summary>
    private protected abstract bool WorkOnRings();

    /// <summary>Tells the owner that the rings are drained.</summary>
    private protected abstract void Drained();

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
            Drained();
            return false;
        }

        return hasMore;
    }
}
