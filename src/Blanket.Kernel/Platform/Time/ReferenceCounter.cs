namespace Blanket.Kernel.Platform.Time;

/// <summary>A free-running counter of known frequency, to measure the TSC against.</summary>
internal abstract class ReferenceCounter
{
    /// <summary>Ticks per second.</summary>
    internal abstract ulong Frequency { get; }

    /// <summary>The bits that count, from bit 0 on.</summary>
    internal abstract uint Mask { get; }

    /// <summary>The counter now; bits outside <see cref="Mask"/> are undefined.</summary>
    internal abstract uint Read();
}
