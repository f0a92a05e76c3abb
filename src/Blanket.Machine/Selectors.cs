namespace Blanket.Machine;

/// <summary>Selectors of the hypervisor's part of every GDT (FLAT_* of xen/include/public/arch-x86/xen-x86_64.h, and the hypervisor's own).</summary>
public static class Selectors
{
    /// <summary>First entry of the hypervisor's part: FIRST_RESERVED_GDT_ENTRY.</summary>
    public const int FirstReservedEntry = 14 * 512;

    public const ushort HypervisorCode = 0xe008;
    public const ushort HypervisorData = 0xe010;

    /// <summary>FLAT_RING3_CS32.</summary>
    public const ushort GuestCode32 = 0xe023;

    /// <summary>FLAT_RING3_DS32, FLAT_RING3_SS64, FLAT_KERNEL_DS.</summary>
    public const ushort GuestData = 0xe02b;

    /// <summary>FLAT_RING3_CS64, FLAT_KERNEL_CS.</summary>
    public const ushort GuestCode64 = 0xe033;
    public const ushort TaskState = 0xe040;
    public const ushort LocalTable = 0xe050;

    /// <summary>Last byte of the GDT as GDTR's limit.</summary>
    public const ushort TableLimit = 0xe05f;
}
