namespace Blanket.Abi.Xen;

/// <summary>Flags of grant mappings (GNTMAP_* of xen/include/public/grant_table.h).</summary>
public static class GrantMapFlags
{
    /// <summary>For use by devices: the guest gets the bus address.</summary>
    public const uint Device = 1 << 0;

    /// <summary>For use by CPUs: a page-table entry is set.</summary>
    public const uint Host = 1 << 1;
    public const uint ReadOnly = 1 << 2;

    /// <summary>Guest user mode may use the mapping too.</summary>
    public const uint Application = 1 << 3;

    /// <summary>host_addr is the machine address of the entry to set, not a linear address.</summary>
    public const uint ContainsEntry = 1 << 4;

    /// <summary>The flags that have to be remembered to unmap.</summary>
    public const uint Remembered = Device | Host | ReadOnly | Application | ContainsEntry;

    /// <summary>First of the bits that go into the entry's available bits.</summary>
    public const int AvailableShift = 16;
}
