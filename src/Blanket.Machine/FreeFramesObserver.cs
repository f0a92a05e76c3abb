namespace Blanket.Machine;

/// <summary>Who waits for frames to be free (<see cref="FrameAllocator.Await"/>).</summary>
public abstract class FreeFramesObserver
{
    /// <summary>They are. Called on any CPU, with any locks held: only take note.</summary>
    public abstract void Reached();
}
