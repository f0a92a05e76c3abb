namespace Blanket.Lab.Qemu;

/// <summary>What starts the first program of a machine.</summary>
public enum Firmware
{
    /// <summary>QEMU loads the kernel and enters it by PVH or the Linux boot protocol.</summary>
    None,

    /// <summary>SeaBIOS starts what the boot disk's first sector says.</summary>
    Bios,

    /// <summary>OVMF starts the boot disk's <c>/EFI/BOOT/BOOTX64.EFI</c>.</summary>
    Uefi,
}
