#if METAL
using System.Runtime;
using System.Runtime.CompilerServices;
#endif

namespace Blanket.Machine;

/// <summary>Where the parts of the hypervisor's image are (build/blanket.ld), as physical addresses; all page-aligned.</summary>
public static unsafe class ImageLayout
{
#if METAL
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "image_start_address")]
    private static extern byte* ImageStart();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "text_end_address")]
    private static extern byte* TextEndAddress();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "rodata_end_address")]
    private static extern byte* ReadOnlyEndAddress();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "image_end_address")]
    private static extern byte* ImageEnd();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "boot_l4_address")]
    private static extern byte* BootRootAddress();

    /// <summary>First byte: code.</summary>
    public static ulong Start => (ulong)ImageStart() - AddressSpace.ImageBase;

    /// <summary>End of code, start of read-only data.</summary>
    public static ulong TextEnd => (ulong)TextEndAddress() - AddressSpace.ImageBase;

    /// <summary>End of read-only data, start of writable data.</summary>
    public static ulong ReadOnlyEnd => (ulong)ReadOnlyEndAddress() - AddressSpace.ImageBase;

    /// <summary>End of the image, zero-initialised data included.</summary>
    public static ulong End => (ulong)ImageEnd() - AddressSpace.ImageBase;

    /// <summary>Root page table of the boot code: identity, image and direct map of the first 4 GiB.</summary>
    public static ulong BootRoot => (ulong)BootRootAddress() - AddressSpace.ImageBase;
#else
    /// <summary>First byte: code.</summary>
    public static ulong Start { get; private set; }

    /// <summary>End of code, start of read-only data.</summary>
    public static ulong TextEnd { get; private set; }

    /// <summary>End of read-only data, start of writable data.</summary>
    public static ulong ReadOnlyEnd { get; private set; }

    /// <summary>End of the image, zero-initialised data included.</summary>
    public static ulong End { get; private set; }

    /// <summary>Root page table of the boot code.</summary>
    public static ulong BootRoot => 0;

    /// <summary>Where host tests pretend that the image is.</summary>
    public static void Simulate(ulong start, ulong textEnd, ulong readOnlyEnd, ulong end) =>
        (Start, TextEnd, ReadOnlyEnd, End) = (start, textEnd, readOnlyEnd, end);
#endif
}
