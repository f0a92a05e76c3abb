#if METAL
using System.Runtime.CompilerServices;

namespace Blanket.Machine;

/// <summary>Makes a CPU ready to run guests: descriptor tables, system-call entry, control registers. Once a CPU, on that CPU.</summary>
public static unsafe class CpuSetup
{
    private const ulong Code64 = 0x00af9b000000ffff;
    private const ulong Data = 0x00cf93000000ffff;
    private const ulong Code64Ring3 = 0x00affb000000ffff;
    private const ulong Code32Ring3 = 0x00cffb000000ffff;
    private const ulong DataRing3 = 0x00cff3000000ffff;
    private const int TaskStateLimit = 103;
    private const int InterruptStackBytes = 2048;

    /// <summary>Pages of a CPU's descriptor window (AddressSpace.DescriptorTablesBase): GDT, then LDT.</summary>
    public const int WindowPages = 32;

    /// <summary>Page of the window with the hypervisor's part of the GDT.</summary>
    public const int ReservedGdtPage = 14;

    /// <summary>First page of the window with the running guest's LDT.</summary>
    public const int LocalTablePage = 16;

    private static ulong s_idtFrame;
    private static ulong s_extendedComponents;

    /// <summary>XSAVE components that guests may use (XCR0); 0 without XSAVE.</summary>
    public static ulong ExtendedComponents => s_extendedComponents;

    /// <summary>Linear address of a page of a CPU's descriptor window.</summary>
    public static ulong WindowAddress(int cpu, int page) =>
        AddressSpace.DescriptorTablesBase + (((ulong)cpu * WindowPages + (uint)page) << Cpu.PageShift);

    /// <summary>The interrupt descriptor table of all CPUs; once.</summary>
    /// <param name="frame">A zeroed frame for it.</param>
    public static void BuildInterruptTable(ulong frame)
    {
        s_idtFrame = frame;
        for (int vector = 0; vector < 256; vector++)
        {
            SetGate(vector, Privileged.ExceptionStubs() + vector * 16, 0, 0);
        }

        // int3 and into are for everybody; every other software interrupt of a guest is a #GP that is looked at.
        SetGate(3, Privileged.ExceptionStubs() + 3 * 16, 0, 3);
        SetGate(4, Privileged.ExceptionStubs() + 4 * 16, 0, 3);
        SetGate(1, Privileged.DebugEntry(), 1, 0);
        SetGate(2, Privileged.NmiEntry(), 2, 0);
        SetGate(8, Privileged.DoubleFaultEntry(), 3, 0);
        SetGate(18, Privileged.MachineCheckEntry(), 4, 0);
    }

    private static void SetGate(int vector, byte* handler, int stack, int privilege)
    {
        ulong address = (ulong)handler;
        ref ulong low = ref PhysicalMemory.FrameAs<ulong>(s_idtFrame)[vector * 2 % 512];
        low = (address & 0xffff) | ((ulong)Selectors.HypervisorCode << 16) | ((ulong)(uint)stack << 32)
            | (0x8e00UL << 32) | ((ulong)(uint)privilege << 45) | ((address & 0xffff0000) << 32);
        Unsafe.Add(ref low, 1) = address >> 32;
    }

    /// <summary>Fills the reserved page of a CPU's GDT, which must already be mapped in its window.</summary>
    /// <param name="gdtFrame">A zeroed frame.</param>
    /// <param name="block">The CPU's block.</param>
    public static void BuildGlobalTable(ulong gdtFrame, CpuBlock* block)
    {
        System.Span<ulong> table = PhysicalMemory.FrameAs<ulong>(gdtFrame);
        table[1] = Code64;
        table[2] = Data;
        table[4] = Code32Ring3;
        table[5] = DataRing3;
        table[6] = Code64Ring3;
        ulong taskState = (ulong)block->TaskState;
        table[8] = TaskStateLimit | ((taskState & 0xffffff) << 16) | (0x89UL << 40) | ((taskState >> 24 & 0xff) << 56);
        table[9] = taskState >> 32;
    }

    /// <summary>Loads the LDT register of this CPU for a table of so many entries in its window; 0 for none.</summary>
    /// <param name="gdtFrame">The frame of <see cref="BuildGlobalTable"/> of this CPU.</param>
    /// <param name="cpu">This CPU.</param>
    /// <param name="entries">0 to 8192.</param>
    public static void LoadLocalTable(ulong gdtFrame, int cpu, uint entries)
    {
        if (entries == 0)
        {
            Cpu.LoadLdt(0);
            return;
        }

        ulong address = WindowAddress(cpu, LocalTablePage);
        ulong limit = entries * 8 - 1;
        System.Span<ulong> table = PhysicalMemory.FrameAs<ulong>(gdtFrame);
        table[10] = (limit & 0xffff) | ((address & 0xffffff) << 16) | (0x82UL << 40) | ((address >> 24 & 0xff) << 56);
        table[11] = address >> 32;
        Cpu.LoadLdt(Selectors.LocalTable);
    }

    /// <summary>Loads everything on the CPU that runs this.</summary>
    /// <param name="block">Its block, at the end of its region.</param>
    /// <param name="extendedComponents">XCR0 for guests; 0 without XSAVE.</param>
    /// <param name="allowSmap">False where SMAP must stay off: QEMU's TCG applies it to far returns in ring 3.</param>
    public static void Load(CpuBlock* block, ulong extendedComponents, bool allowSmap)
    {
        int cpu = block->CpuNumber;
        byte* region = (byte*)block - AddressSpace.CpuBlockOffset;

        // TSS: IST1-4 are the four half-page stacks in pages 1 and 2 of the region (page 0 is left unmapped or unused).
        for (int i = 0; i < 4; i++)
        {
            *(ulong*)(block->TaskState + 36 + i * 8) = (ulong)(region + 4096 + (i + 1) * InterruptStackBytes);
        }

        *(ushort*)(block->TaskState + 102) = 104;

        byte* pointer = block->GdtPointer;
        *(ushort*)pointer = Selectors.TableLimit;
        *(ulong*)(pointer + 2) = WindowAddress(cpu, 0);
        Cpu.LoadGdt(pointer);
        Cpu.LoadSegments();
        Cpu.LoadTaskRegister(Selectors.TaskState);
        *(ushort*)pointer = 4095;
        *(ulong*)(pointer + 2) = (ulong)PhysicalMemory.LinearAddress(s_idtFrame << Cpu.PageShift, 4096);
        Cpu.LoadIdt(pointer);
        Cpu.LoadLdt(0);
        CpuRequests.Register(block);
        LoadSystemCallEntry(block);
        LoadControlRegisters(extendedComponents, allowSmap);
    }

    private static void LoadSystemCallEntry(CpuBlock* block)
    {
        byte* stub = Privileged.SyscallStubs() + block->CpuNumber * 64;
        byte* compatibilityStub = stub + 32;
        WriteStub(block, stub, Privileged.SyscallEntry());
        WriteStub(block, compatibilityStub, Privileged.Syscall32Entry());
        Cpu.WriteMsr(Msr.Star, ((ulong)Selectors.GuestCode32 << 48) | ((ulong)Selectors.HypervisorCode << 32));
        Cpu.WriteMsr(Msr.Lstar, (ulong)stub);
        Cpu.WriteMsr(Msr.Cstar, (ulong)compatibilityStub);
        Cpu.WriteMsr(Msr.SyscallMask, 0x47700 | 0x10000 | 0x20000);
        Cpu.WriteMsr(Msr.SysenterCs, Selectors.HypervisorCode);
        Cpu.WriteMsr(Msr.SysenterEsp, (ulong)block);
        Cpu.WriteMsr(Msr.SysenterEip, (ulong)Privileged.SysenterEntry());
        Cpu.WriteMsr(Msr.Efer, Cpu.ReadMsr(Msr.Efer) | 1);
    }

    /// <summary>mov %rax, SCRATCH; mov %rsp, %rax; movabs $BLOCK, %rsp; jmp ENTRY: SYSCALL leaves no register but these to find the CPU by.</summary>
    private static void WriteStub(CpuBlock* block, byte* stub, byte* entry)
    {
        byte* writable = (byte*)PhysicalMemory.LinearAddress((ulong)stub - AddressSpace.ImageBase, 28);
        writable[0] = 0x48;
        writable[1] = 0xa3;
        *(ulong*)(writable + 2) = (ulong)&block->ScratchStack;
        writable[10] = 0x48;
        writable[11] = 0x89;
        writable[12] = 0xe0;
        writable[13] = 0x48;
        writable[14] = 0xbc;
        *(ulong*)(writable + 15) = (ulong)block;
        writable[23] = 0xe9;
        *(int*)(writable + 24) = (int)(entry - (stub + 28));
    }

    private static void LoadControlRegisters(ulong extendedComponents, bool allowSmap)
    {
        const ulong Fsgsbase = 1 << 16, Osxsave = 1 << 18, Smep = 1 << 20, Smap = 1 << 21, Pge = 1 << 7, Tsd = 1 << 2;
        ulong cr4 = Cpu.ReadCr4() & ~(Tsd | Pge);
        Cpu.Cpuid(0, 0, out uint maximum, out _, out _, out _);
        uint features = 0;
        if (maximum >= 7)
        {
            Cpu.Cpuid(7, 0, out _, out features, out _, out _);
        }

        cr4 |= (features & 1) != 0 ? Fsgsbase : 0;
        cr4 |= (features & (1 << 7)) != 0 ? Smep : 0;
        if (allowSmap && (features & (1 << 20)) != 0)
        {
            PatchSmapSites();
            cr4 |= Smap;
        }

        cr4 |= extendedComponents != 0 ? Osxsave : 0;
        Cpu.WriteCr4(cr4);
        if (extendedComponents != 0)
        {
            Privileged.WriteExtendedControl(extendedComponents);
        }

        s_extendedComponents = extendedComponents;
    }

    // Before the first guest runs and with the same bytes each time, so it does not matter that every CPU does it.
    private static void PatchSmapSites()
    {
        for (ulong* site = Privileged.SmapSitesStart(); site < Privileged.SmapSitesEnd(); site += 2)
        {
            byte* target = (byte*)PhysicalMemory.LinearAddress(site[0] - AddressSpace.ImageBase, 3);
            byte* instruction = (byte*)(site + 1);
            target[0] = instruction[0];
            target[1] = instruction[1];
            target[2] = instruction[2];
        }
    }
}
#endif
