using Blanket.Abi.Xen;

namespace Blanket.Core.Grants;

/// <summary>How a grant is used: what is counted in an active entry, and what it asks for.</summary>
internal readonly struct GrantUse
{
    /// <summary>Width of one of the four counters of <see cref="ActiveGrant.Pins"/>.</summary>
    private const int CounterWidth = 16;
    private const ulong HostWrite = 1UL;
    private const ulong HostRead = 1UL << CounterWidth;
    private const ulong DeviceWrite = 1UL << (2 * CounterWidth);
    private const ulong DeviceRead = 1UL << (3 * CounterWidth);

    /// <summary>The counters of writers.</summary>
    public const ulong Writers = HostWrite * CounterMask | DeviceWrite * CounterMask;
    private const ulong CounterMask = (1UL << CounterWidth) - 1;

    /// <summary>The number of host uses for writing in <see cref="ActiveGrant.Pins"/>.</summary>
    public static int HostWriters(ulong pins) => (int)(pins & CounterMask);

    /// <summary>The number of host uses for reading.</summary>
    public static int HostReaders(ulong pins) => (int)((pins / HostRead) & CounterMask);

    private GrantUse(ulong increment, bool isReadOnly, bool isMapping)
    {
        Increment = increment;
        IsReadOnly = isReadOnly;
        IsMapping = isMapping;
    }

    /// <summary>What is added to the counters.</summary>
    public ulong Increment { get; }

    public bool IsReadOnly { get; }

    /// <summary>Of a whole page for longer: sub-page and transitive grants do not allow it.</summary>
    public bool IsMapping { get; }

    /// <summary>No use at all: neither a host nor a device mapping.</summary>
    public bool IsNone => Increment == 0;

    /// <summary>The bits that are set when a counter has no room for another use.</summary>
    public ulong OverflowMask => Increment << (CounterWidth - 1);

    /// <summary>The counters that a use is counted in.</summary>
    public ulong Counters => Increment * CounterMask;

    /// <summary>A copy, or a request of the services: page parts and transitive grants are fine.</summary>
    public static GrantUse Access(bool isReadOnly) => new(isReadOnly ? HostRead : HostWrite, isReadOnly, false);

    /// <summary>A mapping with GNTMAP_* flags.</summary>
    public static GrantUse Mapping(uint flags)
    {
        bool isReadOnly = (flags & GrantMapFlags.ReadOnly) != 0;
        ulong increment = 0;
        if ((flags & GrantMapFlags.Device) != 0)
        {
            increment += isReadOnly ? DeviceRead : DeviceWrite;
        }

        if ((flags & GrantMapFlags.Host) != 0)
        {
            increment += isReadOnly ? HostRead : HostWrite;
        }

        return new GrantUse(increment, isReadOnly, true);
    }
}
