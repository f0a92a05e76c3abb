using System.Runtime.CompilerServices;
#if METAL
using System.Runtime;
#endif

namespace Blanket.Machine;

/// <summary>The instructions that C# has no word for, one a method (Assembly/cpu.S). The host flavour simulates the few that tests meet.</summary>
public static unsafe partial class Cpu
{
    /// <summary>Size in bytes of an x86 page and of a machine frame.</summary>
    public const int PageSize = 4096;

    /// <summary>log2 of <see cref="PageSize"/>.</summary>
    public const int PageShift = 12;

#if METAL
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "port_read8")]
    public static extern byte PortRead8(ushort port);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "port_read16")]
    public static extern ushort PortRead16(ushort port);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "port_read32")]
    public static extern uint PortRead32(ushort port);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "port_write8")]
    public static extern void PortWrite8(ushort port, byte value);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "port_write16")]
    public static extern void PortWrite16(ushort port, ushort value);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "port_write32")]
    public static extern void PortWrite32(ushort port, uint value);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "msr_read")]
    public static extern ulong ReadMsr(uint index);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "msr_write")]
    public static extern void WriteMsr(uint index, ulong value);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "cpuid_read")]
    private static extern void CpuidRead(uint leaf, uint subleaf, uint* registers);

    /// <summary>Time stamp counter, ordered after earlier loads.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "tsc_read")]
    public static extern ulong ReadTsc();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "random_read")]
    private static extern uint ReadRandom(ulong* value);

    /// <summary>64 bits that nobody can guess, by RDRAND; false where the CPU has none, or nothing now.</summary>
    public static bool TryRandom(out ulong value)
    {
        const uint HasRandom = 1U << 30;
        Cpuid(1, 0, out _, out _, out uint features, out _);
        ulong random = 0;
        bool isThere = (features & HasRandom) != 0 && ReadRandom(&random) != 0;
        value = random;
        return isThere;
    }

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "cr0_read")]
    public static extern ulong ReadCr0();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "cr0_write")]
    public static extern void WriteCr0(ulong value);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "cr2_read")]
    public static extern ulong ReadCr2();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "cr3_read")]
    public static extern ulong ReadCr3();

    /// <summary>Loads the root page table; flushes every non-global TLB entry.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "cr3_write")]
    public static extern void WriteCr3(ulong value);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "cr4_read")]
    public static extern ulong ReadCr4();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "cr4_write")]
    public static extern void WriteCr4(ulong value);

    /// <summary>INVLPG: drops this CPU's TLB entries for one linear address.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "page_invalidate")]
    public static extern void InvalidatePage(ulong address);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "interrupts_enable")]
    public static extern void EnableInterrupts();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "interrupts_disable")]
    public static extern void DisableInterrupts();

    /// <summary>Disables interrupts; returns RFLAGS for <see cref="RestoreInterrupts"/>.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "interrupts_save_disable")]
    public static extern ulong SaveAndDisableInterrupts();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "interrupts_restore")]
    public static extern void RestoreInterrupts(ulong flags);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "cpu_pause")]
    public static extern void Pause();

    /// <summary>Waits for an interrupt and takes it; returns with interrupts disabled.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "cpu_halt")]
    public static extern void WaitForInterrupt();

    /// <summary>Stops this CPU for good.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "cpu_stop")]
    public static extern void Stop();

    /// <summary>From here on an NMI stops the CPU that gets it, for good.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "halt_by_nmi")]
    public static extern void HaltByNmi();

    /// <summary>Takes the interrupts that wait, then disables them again.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "interrupts_allow_pending")]
    public static extern void AllowPendingInterrupts();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "io_fence")]
    public static extern void Fence();

    /// <summary>The caller's frame pointer.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "frame_pointer_read")]
    public static extern ulong ReadFramePointer();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "gdt_load")]
    internal static extern void LoadGdt(void* pointer);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "idt_load")]
    internal static extern void LoadIdt(void* pointer);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "ldt_load")]
    internal static extern void LoadLdt(ushort selector);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "task_register_load")]
    internal static extern void LoadTaskRegister(ushort selector);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "segments_load")]
    internal static extern void LoadSegments();

    /// <summary>This CPU's block: it stands at the end of the region that the stack is in.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static CpuBlock* CurrentBlock()
    {
        byte onStack;
        return (CpuBlock*)(((ulong)&onStack & ~(AddressSpace.CpuRegionSize - 1UL)) + AddressSpace.CpuBlockOffset);
    }

    /// <summary>This CPU's number: 0 is the boot CPU; below <see cref="MaximumCpus"/>.</summary>
    public static int Number => CurrentBlock()->CpuNumber;

    /// <summary>CPUID leaf and subleaf.</summary>
    public static void Cpuid(uint leaf, uint subleaf, out uint eax, out uint ebx, out uint ecx, out uint edx)
    {
        uint* registers = stackalloc uint[4];
        CpuidRead(leaf, subleaf, registers);
        eax = registers[0];
        ebx = registers[1];
        ecx = registers[2];
        edx = registers[3];
    }
#endif

    /// <summary>The most CPUs of L0 that are used.</summary>
    public const int MaximumCpus = 128;
}
