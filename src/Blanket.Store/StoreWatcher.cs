using System;

namespace Blanket.Store;

/// <summary>What an in-process client does about a watch event.</summary>
public abstract class StoreWatcher
{
    /// <summary>
    /// Something changed at or below the watched path, or the watch was just set up. Called from
    /// <see cref="XenStore.Process"/> with the store's lock held; requests may be made from here.
    /// </summary>
    /// <param name="path">The path that changed, relative if the watch was; valid during the call.</param>
    /// <param name="token">The watch's token; valid during the call.</param>
    public abstract void Fired(ReadOnlySpan<byte> path, ReadOnlySpan<byte> token);
}
