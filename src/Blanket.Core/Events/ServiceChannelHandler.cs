namespace Blanket.Core.Events;

/// <summary>What the built-in services do when a guest notifies them.</summary>
public abstract class ServiceChannelHandler
{
    /// <summary>
    /// The guest has sent at least one event since the last call. Runs on the exit path with no lock held, never on two CPUs at
    /// once for one channel, and possibly although nothing happened. Bounded work only: what is left is done at the next call.
    /// </summary>
    public abstract void Raised();
}
