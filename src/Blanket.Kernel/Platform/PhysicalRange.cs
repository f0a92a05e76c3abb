namespace Blanket.Kernel.Platform;

/// <summary>A range of physical addresses, [Start, End).</summary>
/// <param name="start">First byte.</param>
/// <param name="end">First byte after the range; not below <paramref name="start"/>.</param>
public readonly struct PhysicalRange(ulong start, ulong end)
{
    /// <summary>First byte.</summary>
    public readonly ulong Start = start;

    /// <summary>First byte after the range.</summary>
    public readonly ulong End = end;

    /// <summary>The end of what a 52-bit physical address reaches (AMD APM vol. 2, 5.1).</summary>
    public const ulong AddressLimit = 1UL << 52;

    private const ulong PageMask = Machine.Cpu.PageSize - 1;

    /// <summary>Bytes in the range.</summary>
    public ulong Length => End - Start;

    /// <summary>Whether nothing is in it.</summary>
    public bool IsEmpty => End <= Start;

    /// <summary>A range as firmware states it; a length that reaches over the end of physical addresses is cut there.</summary>
    public static PhysicalRange OfLength(ulong start, ulong length)
    {
        if (start >= AddressLimit)
        {
            return default;
        }

        return new PhysicalRange(start, length > AddressLimit - start ? AddressLimit : start + length);
    }

    /// <summary>The whole pages inside it: what may be used when the range is memory.</summary>
    public PhysicalRange WholePages()
    {
        if (Start > AddressLimit)
        {
            return default;
        }

        ulong start = (Start + PageMask) & ~PageMask;
        ulong end = End & ~PageMask;
        return end > start ? new PhysicalRange(start, end) : default;
    }

    /// <summary>The pages that it touches: what must be left alone when the range is not memory.</summary>
    public PhysicalRange TouchedPages()
    {
        if (IsEmpty)
        {
            return default;
        }

        ulong end = End > AddressLimit ? AddressLimit : End;
        return new PhysicalRange(Start & ~PageMask, (end + PageMask) & ~PageMask);
    }

    /// <summary>Whether every byte of <paramref name="other"/> is in this range; an empty one is in none.</summary>
    public bool Covers(PhysicalRange other) => !other.IsEmpty && other.Start >= Start && other.End <= End;

    /// <summary>Whether the two have a byte in common.</summary>
    public bool Overlaps(PhysicalRange other) => Start < other.End && other.Start < End && !IsEmpty && !other.IsEmpty;
}
