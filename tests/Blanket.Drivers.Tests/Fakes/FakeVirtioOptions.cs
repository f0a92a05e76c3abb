namespace Blanket.Drivers.Tests.Fakes;

/// <summary>What a fake device is like.</summary>
public sealed record FakeVirtioOptions
{
    public const ulong EventIndex = 1UL << 29;
    public const ulong Indirect = 1UL << 28;
    public const ulong AnyLayout = 1UL << 27;
    public const ulong Version1 = 1UL << 32;

    public ulong Features { get; init; } = Version1 | EventIndex | Indirect;

    public ushort QueueSize { get; init; } = 256;

    public bool IsLegacy { get; init; }

    /// <summary>MSI-X vectors; 0 for none.</summary>
    public int Vectors { get; init; } = 8;

    public bool HasMsi { get; init; }

    /// <summary>No firmware gave the BARs addresses.</summary>
    public bool IsUnassigned { get; init; }

    public FakeVirtioOptions With(ulong features) => this with { Features = Features | features };
}
