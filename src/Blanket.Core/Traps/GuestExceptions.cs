using Blanket.Core.Domains;
using Blanket.Core.Emulation;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Traps;

/// <summary>Decides what an exception raised by a guest means: emulate, or hand it to the guest kernel.</summary>
public static class GuestExceptions
{
    private const byte Debug = 1;
    private const byte InvalidOpcode = 6;
    private const byte DeviceNotAvailable = 7;
    private const byte GeneralProtection = 13;
    private const byte PageFault = 14;

    /// <summary>General-protection error code: bit 1, the index is of the interrupt table (Intel SDM vol. 3, 6.13).</summary>
    private const uint ErrorInterruptTable = 1 << 1;
    private const int ErrorVectorShift = 3;
    private const uint PageFaultPresentWrite = 3;
    private const int WindowPages = 32;
    private const int LocalTablePage = 16;
    private const ulong VectorsWithErrorCode = 1UL << 8 | 1UL << 10 | 1UL << 11 | 1UL << 12 | 1UL << 13 | 1UL << 14 | 1UL << 17 | 1UL << 21;

    /// <summary>Handles exception <c>Registers.EntryVector</c> (below 32) of the vCPU that runs on this CPU.</summary>
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="faultAddress">CR2, read before anything could fault again; meant for page faults.</param>
    public static void Handle(Vcpu vcpu, ulong faultAddress)
    {
        ref VcpuState state = ref vcpu.State;
        byte vector = (byte)state.Registers.EntryVector;
        uint errorCode = state.Registers.ErrorCode;
        switch (vector)
        {
            case PageFault:
                HandlePageFault(vcpu, ref state, faultAddress, errorCode);
                break;
            case GeneralProtection:
                HandleGeneralProtection(vcpu, ref state, errorCode);
                break;
            case InvalidOpcode:
                HandleInvalidOpcode(vcpu);
                break;
            case DeviceNotAvailable:
                state.TaskSwitched = 0;
                TrapDelivery.Inject(vcpu, vector);
                break;
            case Debug:
                TrapDelivery.Inject(vcpu, vector);
                break;
            default:
                Inject(vcpu, vector, errorCode);
                break;
        }
    }

    /// <summary>Hands an exception to the guest; the error code counts for the vectors that have one.</summary>
    internal static void Inject(Vcpu vcpu, byte vector, uint errorCode)
    {
        if ((VectorsWithErrorCode >> vector & 1) != 0)
        {
            TrapDelivery.Inject(vcpu, vector, errorCode);
        }
        else
        {
            TrapDelivery.Inject(vcpu, vector);
        }
    }

    /// <summary>A page fault at an address: one of the hypervisor's own making, a store to a page table, or the guest's.</summary>
    internal static void HandlePageFault(Vcpu vcpu, ref VcpuState state, ulong address, uint errorCode)
    {
        if (TryMapLocalTable(vcpu, address, errorCode))
        {
            return;
        }

        // A guest kernel may write page-table entries in place: the table is mapped read-only, so it faults here.
        if ((errorCode & PageFaultPresentWrite) == PageFaultPresentWrite && state.InKernel != 0)
        {
            EmulationResult result = PageTableStore.Emulate(vcpu, address, errorCode);
            if (result.Kind != EmulationKind.NotHandled)
            {
                Finish(vcpu, in result);
                return;
            }
        }

        TrapDelivery.InjectPageFault(vcpu, address, errorCode);
    }

    /// <summary>
    /// The CPU itself faulted on the LDT window, on behalf of a selector that the guest loads: its pages are mapped on demand. When
    /// there is none the guest sees the fault where its own LDT is.
    /// </summary>
    private static bool TryMapLocalTable(Vcpu vcpu, ulong address, uint errorCode)
    {
        ulong window = AddressSpace.DescriptorTablesBase + (((ulong)(uint)(Cpu.Number * WindowPages) + LocalTablePage) << Cpu.PageShift);
        ulong offset = unchecked(address - window);
        if ((errorCode & TrapDelivery.PageFaultUser) != 0 || offset >= LocalDescriptorTable.MaximumEntries * 8)
        {
            return false;
        }

        if (!LocalDescriptorTable.TryMap(vcpu, (uint)offset))
        {
            TrapDelivery.InjectPageFault(vcpu, vcpu.LdtBase + offset, errorCode);
        }

        return true;
    }

    private static void HandleInvalidOpcode(Vcpu vcpu)
    {
        EmulationResult result = ForcedEmulation.Emulate(vcpu);
        if (result.Kind == EmulationKind.NotHandled)
        {
            TrapDelivery.Inject(vcpu, InvalidOpcode);
        }
        else
        {
            Finish(vcpu, in result);
        }
    }

    private static void HandleGeneralProtection(Vcpu vcpu, ref VcpuState state, uint errorCode)
    {
        if ((errorCode & ErrorInterruptTable) != 0)
        {
            HandleSoftwareInterrupt(vcpu, ref state, errorCode);
            return;
        }

        EmulationResult result = PrivilegedInstruction.Emulate(vcpu);
        if (result.Kind == EmulationKind.NotHandled)
        {
            TrapDelivery.Inject(vcpu, GeneralProtection, errorCode);
        }
        else
        {
            Finish(vcpu, in result);
        }
    }

    /// <summary>INT n: every gate but those of int3 and into is for ring 0, so it arrives as #GP; the guest's own table decides.</summary>
    private static void HandleSoftwareInterrupt(Vcpu vcpu, ref VcpuState state, uint errorCode)
    {
        const int instructionLength = 2;
        byte vector = InterruptNumber(state.Registers.Rip, errorCode);
        GuestTrap trap = state.Trap(vector);
        int privilege = state.InKernel != 0 ? 1 : 3;
        if (trap.Address == 0 || privilege > (trap.Flags & 3))
        {
            TrapDelivery.Inject(vcpu, GeneralProtection, (uint)(vector << ErrorVectorShift) | ErrorInterruptTable);
            return;
        }

        state.Registers.Rip = unchecked(state.Registers.Rip + instructionLength);
        TrapDelivery.Inject(vcpu, vector);
    }

    /// <summary>
    /// The n of an INT n. The error code has it, but QEMU's software emulation (7.2 at least) puts twice the number there; so the instruction
    /// decides which of the two it is.
    /// </summary>
    private static byte InterruptNumber(ulong instruction, uint errorCode)
    {
        const int opcode = 0xcd;
        byte vector = (byte)(errorCode >> ErrorVectorShift);
        if (GuestMemory.TryRead(instruction, out ushort bytes) && (byte)bytes == opcode
            && errorCode == ((uint)(bytes >> 8) << (ErrorVectorShift + 1) | ErrorInterruptTable))
        {
            vector = (byte)(bytes >> 8);
        }

        return vector;
    }

    private static void Finish(Vcpu vcpu, in EmulationResult result)
    {
        switch (result.Kind)
        {
            case EmulationKind.InjectDebug:
                TrapDelivery.Inject(vcpu, Debug);
                break;
            case EmulationKind.InjectInvalidOpcode:
                TrapDelivery.Inject(vcpu, InvalidOpcode);
                break;
            case EmulationKind.InjectGeneralProtection:
                TrapDelivery.Inject(vcpu, GeneralProtection, 0);
                break;
            case EmulationKind.InjectPageFault:
                TrapDelivery.InjectPageFault(vcpu, result.Address, result.ErrorCode);
                break;
            default:
                break;
        }
    }
}
