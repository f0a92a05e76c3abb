using System;

namespace Blanket.Drivers;

/// <summary>A source of random bytes of L0.</summary>
public abstract class EntropySource
{
    /// <summary>Takes bytes that have arrived.</summary>
    /// <returns>Bytes filled in, 0 when none are at hand; more are asked for by itself.</returns>
    public abstract int TryTake(Span<byte> destination);
}
