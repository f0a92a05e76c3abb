using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;

namespace Blanket.Core.Memory;

/// <summary>HYPERVISOR_memory_op (xen/include/public/memory.h).</summary>
public static class MemoryOperationHypercall
{
    /// <summary>rdi: XENMEM_* command, above it where a suspended call goes on; rsi: linear address of the argument.</summary>
    /// <returns>A count or 0, or an error; see docs/page-types.md for commands that PV guests cannot use.</returns>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        uint command = (uint)(arguments.A1 & MemoryCommand.Mask);
        ulong start = arguments.A1 >> MemoryCommand.ExtentShift;
        long result = Execute(caller, command, start, ref arguments);
        FrameQuarantine.Drain();
        return result;
    }

    private static long Execute(Vcpu caller, uint command, ulong start, ref HypercallArguments arguments)
    {
        switch (command)
        {
            case MemoryCommand.IncreaseReservation:
            case MemoryCommand.DecreaseReservation:
            case MemoryCommand.PopulatePhysmap:
                return Reservation.Handle(caller, command, start, ref arguments);
            case MemoryCommand.Exchange:
                return start != 0 ? -Errno.EINVAL : ReservationExchange.Handle(caller, ref arguments);
            case MemoryCommand.MaximumRamPage:
            case MemoryCommand.CurrentReservation:
            case MemoryCommand.MaximumReservation:
            case MemoryCommand.MaximumGpfn:
            case MemoryCommand.ClaimPages:
            case MemoryCommand.GetVnumaInfo:
                return start != 0 ? -Errno.EINVAL : MemoryInformation.Handle(caller, command, arguments.A2);
            case MemoryCommand.MemoryMap:
            case MemoryCommand.SetMemoryMap:
            case MemoryCommand.MachineMemoryMap:
                return MemoryMaps.Handle(caller, command, arguments.A2);
            case MemoryCommand.MachphysMapping:
            case MemoryCommand.MachphysMfnList:
            case MemoryCommand.MachphysCompatMfnList:
                return MachineToPhysicalInformation.Handle(command, arguments.A2);
            default:
                return TranslatedMemory.Handle(caller, command, start, arguments.A2);
        }
    }
}
