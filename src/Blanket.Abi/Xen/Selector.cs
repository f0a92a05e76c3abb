namespace Blanket.Abi.Xen;

/// <summary>Selectors of the hypervisor's part of every GDT (xen/include/public/arch-x86/xen-x86_64.h).</summary>
public static class Selector
{
    /// <summary>FLAT_KERNEL_CS64 and FLAT_USER_CS64.</summary>
    public const ushort FlatCode64 = 0xe033;

    /// <summary>FLAT_KERNEL_CS32 and FLAT_USER_CS32.</summary>
    public const ushort FlatCode32 = 0xe023;

    /// <summary>FLAT_RING3_DS32 and FLAT_RING3_SS32.</summary>
    public const ushort FlatData32 = 0xe02b;

    /// <summary>FLAT_KERNEL_DS64: the null selector.</summary>
    public const ushort FlatData64 = 0;

    /// <summary>FLAT_KERNEL_SS64.</summary>
    public const ushort FlatStack64 = 0xe02b;

    /// <summary>FIRST_RESERVED_GDT_ENTRY: GDT entries from here on are the hypervisor's.</summary>
    public const int FirstReservedGdtEntry = 14 * 512;
}
