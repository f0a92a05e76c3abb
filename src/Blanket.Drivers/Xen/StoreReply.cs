using System;
using Blanket.Abi;

namespace Blanket.Drivers.Xen;

/// <summary>Who waits for the answer to a request to L0's xenstore.</summary>
public abstract class StoreReply
{
    /// <summary>
    /// The request ended. Called once for each request that was taken, with no lock held, on one CPU at a time; may make requests.
    /// </summary>
    /// <param name="error">What the store said; InputOutput when the connection is broken, Again when L1 was restored meanwhile.</param>
    /// <param name="value">The answer; valid until the return.</param>
    public abstract void Completed(XenStoreError error, ReadOnlySpan<byte> value);
}

/// <summary>A watch on a node of L0's xenstore; the connection sets it again after a restore.</summary>
public abstract class StoreWatch
{
    /// <summary>Its place in the connection's table; -1 while it is not set.</summary>
    internal int Index = -1;

    /// <summary>The node or one below it may have changed. Once after it is set. Called as <see cref="StoreReply.Completed"/> is.</summary>
    public abstract void Fired();
}
