using System.Threading;

namespace Blanket.Backends;

/// <summary>What has passed through a port of a switch. Counters only grow; they wrap at 2^64.</summary>
public struct PortStatistics
{
    /// <summary>Packets that came in from the port's side.</summary>
    public ulong PacketsIn;

    /// <summary>Their bytes.</summary>
    public ulong BytesIn;

    /// <summary>Packets that came in and were malformed or not allowed.</summary>
    public ulong RejectedIn;

    /// <summary>Packets given to the port's side.</summary>
    public ulong PacketsOut;

    /// <summary>Their bytes.</summary>
    public ulong BytesOut;

    /// <summary>Packets for the port's side that it had no room for or could not take.</summary>
    public ulong DroppedOut;

    internal void CountIn(uint bytes)
    {
        Interlocked.Increment(ref PacketsIn);
        Interlocked.Add(ref BytesIn, bytes);
    }

    internal void CountOut(uint bytes)
    {
        Interlocked.Increment(ref PacketsOut);
        Interlocked.Add(ref BytesOut, bytes);
    }

    internal void CountRejected() => Interlocked.Increment(ref RejectedIn);

    internal void CountDropped() => Interlocked.Increment(ref DroppedOut);
}
