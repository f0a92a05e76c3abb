using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>HYPERVISOR_update_va_mapping and HYPERVISOR_update_va_mapping_otherdomain (xen/include/public/xen.h).</summary>
public static class UpdateVaMappingHypercall
{
    /// <summary>rdi: linear address; rsi: new L1 entry; rdx: UVMF_* flags.</summary>
    /// <returns>0; -EINVAL when no L1 table of the caller maps the address; the errors of a checked entry write.</returns>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments) =>
        Update(caller, arguments.A1, arguments.A2, arguments.A3, caller.Domain);

    /// <summary>rdi: linear address; rsi: new L1 entry; rdx: UVMF_* flags; r10: the domain whose frame is mapped.</summary>
    /// <returns>As <see cref="Handle"/>; -ESRCH for no such domain, -EPERM for one that the caller may not name.</returns>
    public static long HandleOtherDomain(Vcpu caller, ref HypercallArguments arguments)
    {
        int result = FrameOwnerArgument.Find(caller.Domain, unchecked((ushort)arguments.A4), out Domain owner);
        return result != 0 ? result : Update(caller, arguments.A1, arguments.A2, arguments.A3, owner);
    }

    private static long Update(Vcpu caller, ulong linear, ulong value, ulong flags, Domain frameOwner)
    {
        Domain domain = caller.Domain;
        domain.PageTableLock.Acquire();
        int result = UpdateLocked(caller, linear, value, frameOwner);
        domain.PageTableLock.Release();
        if (result == 0 && (flags & MmuVaMappingFlags.FlushTypeMask) != 0)
        {
            result = Flush(domain, linear, flags);
        }

        FrameQuarantine.Drain();
        return result;
    }

    private static int UpdateLocked(Vcpu caller, ulong linear, ulong value, Domain frameOwner)
    {
        if (!GuestPageWalk.TryFindL1Entry(caller.KernelRoot, linear, out ulong address))
        {
            return -Errno.EINVAL;
        }

        // Through linear entries the walk may end in a table of another level.
        if (!L1Table.IsValidated(caller.Domain, ref FrameTable.Of(address >> Cpu.PageShift)))
        {
            return -Errno.EINVAL;
        }

        return EntryWrite.L1(ref PhysicalMemory.At<ulong>(address), value, false, caller.Domain, frameOwner.Id);
    }

    private static int Flush(Domain domain, ulong linear, ulong flags)
    {
        bool page = (flags & MmuVaMappingFlags.FlushTypeMask) == MmuVaMappingFlags.InvalidatePage;
        if (!page && (flags & MmuVaMappingFlags.FlushTypeMask) != MmuVaMappingFlags.TlbFlush)
        {
            return 0;
        }

        ulong target = flags & ~MmuVaMappingFlags.FlushTypeMask;
        if (target == MmuVaMappingFlags.Local)
        {
            if (page)
            {
                TlbFlush.LocalPage(linear);
            }
            else
            {
                TlbFlush.Local();
            }

            return 0;
        }

        CpuSet cpus = domain.DirtyCpus.Snapshot();
        if (target != MmuVaMappingFlags.All && !VcpuMask.TryRead(domain, target, out cpus))
        {
            return -Errno.EFAULT;
        }

        if (page)
        {
            TlbFlush.CpusPage(cpus, linear);
        }
        else
        {
            TlbFlush.Cpus(cpus);
        }

        return 0;
    }
}
