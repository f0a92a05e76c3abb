#if METAL
using System.Runtime;
using System.Runtime.CompilerServices;
#endif

namespace Blanket.Machine;

/// <summary>What a secondary CPU does once it runs C#.</summary>
public abstract class SecondaryEntry
{
    /// <summary>Runs on the secondary CPU, on the stack of its region, with interrupts disabled. When it returns the CPU stops for good.</summary>
    /// <param name="cpu">The CPU's number.</param>
    public abstract void Run(int cpu);
}

/// <summary>
/// The code that secondary CPUs start with (Assembly/secondary_start.S): real mode below 1 MiB, then the hypervisor's address
/// space and a stack of their own. One CPU is started at a time; one that comes late finds its name changed and stops.
/// </summary>
public static unsafe class SecondaryStart
{
    private static SecondaryEntry? s_entry;

#if METAL
    // struct of Assembly/secondary_start.S
    private struct Mailbox
    {
        public ulong RootTable;
        public ulong Stack;
        public uint ApicId;
        public int CpuNumber;
    }

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "secondary_trampoline_address")]
    private static extern byte* Trampoline();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "secondary_trampoline_end_address")]
    private static extern byte* TrampolineEnd();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "secondary_mailbox_address")]
    private static extern Mailbox* MailboxAddress();

    /// <summary>Copies the real-mode code into a frame below 1 MiB.</summary>
    public static void Install(ulong frame, SecondaryEntry entry)
    {
        s_entry = entry;
        System.ReadOnlySpan<byte> code = new(Trampoline(), (int)(TrampolineEnd() - Trampoline()));
        code.CopyTo(PhysicalMemory.Frame(frame));
    }

    /// <summary>Prepares the region of the CPU that is started next, and tells the start-up code about it.</summary>
    /// <param name="region">Physical address of the zeroed region, aligned to its size.</param>
    /// <param name="apicId">The CPU's local APIC id.</param>
    /// <param name="cpu">The number that it gets.</param>
    public static void Prepare(ulong region, uint apicId, int cpu)
    {
        ulong blockAddress = region + AddressSpace.CpuBlockOffset;
        ref CpuBlock block = ref PhysicalMemory.At<CpuBlock>(blockAddress);
        block.CpuNumber = cpu;
        block.ApicId = apicId;
        block.CurrentCr3 = HypervisorRoot.Cr3;
        Mailbox* mailbox = MailboxAddress();
        mailbox->RootTable = HypervisorRoot.Cr3;
        mailbox->Stack = PhysicalMemory.LinearAddress(blockAddress, 1);
        mailbox->CpuNumber = cpu;
        mailbox->ApicId = apicId;
        Cpu.Fence();
    }

    /// <summary>No CPU is expected any more: one that comes now stops.</summary>
    public static void Close() => MailboxAddress()->ApicId = uint.MaxValue;

    [RuntimeExport("secondary_main")]
    private static void Main(int cpu) => s_entry!.Run(cpu);
#else
    /// <summary>Remembers the entry; host tests have no secondary CPUs.</summary>
    public static void Install(ulong frame, SecondaryEntry entry) => s_entry = entry;

    /// <summary>Runs the entry at once, as if the CPU had started.</summary>
    public static void Prepare(ulong region, uint apicId, int cpu) => s_entry!.Run(cpu);

    /// <summary>Nothing to do.</summary>
    public static void Close()
    {
    }
#endif
}
