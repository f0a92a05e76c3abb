using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_set_trap_table (xen/include/public/arch-x86/xen.h): the caller's exception handlers.</summary>
public static class SetTrapTableHypercall
{
    private const ulong EntrySize = 16;

    /// <summary>A1 guest address of entries, ended by one with address 0; 0 clears the whole table.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        ref VcpuState state = ref caller.State;
        if (arguments.A1 == 0)
        {
            for (int vector = 0; vector < TrapInfoTable.Size; vector++)
            {
                state.Trap((byte)vector) = default;
            }

            return 0;
        }

        for (int i = 0; ; i++)
        {
            if (!GuestMemory.TryRead(arguments.A1, out TrapInfo entry))
            {
                return -Errno.EFAULT;
            }

            if (entry.Address == 0)
            {
                return 0;
            }

            if (!AddressSpace.IsCanonical(entry.Address))
            {
                return -Errno.EINVAL;
            }

            ref GuestTrap trap = ref state.Trap(entry.Vector);
            trap.Address = entry.Address;
            trap.CodeSelector = GuestSelector.WithGuestPrivilege(entry.CodeSelector);
            trap.Flags = entry.Flags;
            arguments.A1 = unchecked(arguments.A1 + EntrySize);

            // The list has no length: a hostile one never ends.
            if (i % Preemption.CheckInterval == Preemption.CheckInterval - 1 && Preemption.IsNeeded)
            {
                return HypercallArguments.Restart;
            }
        }
    }
}
