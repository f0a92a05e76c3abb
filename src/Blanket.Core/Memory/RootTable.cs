using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// The root tables of a vCPU. In 64-bit PV guest kernel and guest user have one each, both L4 tables of their own; each
/// holds a reference and a type count.
/// </summary>
public static class RootTable
{
    /// <summary>
    /// Gives a vCPU that does not run yet its first kernel root and pins it, as guests find it. Validates everything below it.
    /// </summary>
    /// <returns>0; -ERESTART when it should be called again; other errors: the tables are not right, or the vCPU has a root already.</returns>
    public static int Install(Vcpu vcpu, ulong frame)
    {
        if (vcpu.KernelRoot != 0 || frame == 0)
        {
            return -Errno.EINVAL;
        }

        Domain domain = vcpu.Domain;
        domain.PageTableLock.Acquire();
        int result = PendingTable.FinishLocked(vcpu, domain);
        result = result == 0 ? GetRoot(vcpu, frame) : result;
        if (result == 0)
        {
            vcpu.KernelRoot = frame;
            vcpu.State.KernelCr3 = frame << Cpu.PageShift;
            HypervisorSlots.ShowMachineToPhysical(frame);
            if (PageTablePin.TrySetPinned(ref FrameTable.Of(frame)))
            {
                // The pin's own count; the table is validated, so this cannot fail.
                Check.That(GetRoot(vcpu, frame) == 0);
            }
        }

        domain.PageTableLock.Release();
        return result;
    }

    /// <summary>MMUEXT_NEW_BASEPTR: another root for the running vCPU's guest kernel. The page-table lock is held.</summary>
    /// <returns>0; -EINVAL and others when the frame is no root table; -ERESTART to go on later.</returns>
    internal static int SetKernelRoot(Vcpu caller, ulong frame)
    {
        ulong old = caller.KernelRoot;
        if (frame == old)
        {
            // Also how a call ends that was suspended while it dropped the former root.
            TlbFlush.LocalWithRoot(caller.State.KernelCr3);
            return 0;
        }

        int result = frame == 0 ? -Errno.EINVAL : GetRoot(caller, frame);
        if (result != 0)
        {
            return result;
        }

        LocalDescriptorTable.Drop(caller);
        if (!caller.Domain.HasVmAssist(MmuVmAssist.StrictMachineToPhysical))
        {
            HypervisorSlots.ShowMachineToPhysical(frame);
        }

        caller.KernelRoot = frame;
        caller.State.KernelCr3 = frame << Cpu.PageShift;
        TlbFlush.LocalWithRoot(caller.State.KernelCr3);
        return old == 0 ? 0 : PendingTable.Drop(caller, caller.Domain, old, 0);
    }

    /// <summary>MMUEXT_NEW_USER_BASEPTR: another root, or none (0), for the guest's user mode. The page-table lock is held.</summary>
    internal static int SetUserRoot(Vcpu caller, ulong frame)
    {
        ulong old = caller.UserRoot;
        if (frame == old)
        {
            return 0;
        }

        if (frame != 0)
        {
            int result = GetRoot(caller, frame);
            if (result != 0)
            {
                return result;
            }

            if (caller.Domain.HasVmAssist(MmuVmAssist.StrictMachineToPhysical))
            {
                HypervisorSlots.HideMachineToPhysical(frame);
            }
        }

        caller.UserRoot = frame;
        caller.State.UserCr3 = frame << Cpu.PageShift;
        return old == 0 ? 0 : PendingTable.Drop(caller, caller.Domain, old, 0);
    }

    /// <summary>
    /// Takes both roots from a vCPU that no CPU holds translations of, and finishes its pending table.
    /// </summary>
    /// <returns>0, or -ERESTART when an interrupt waits or a CPU still holds translations.</returns>
    internal static int Remove(Vcpu vcpu)
    {
        if (vcpu.DirtyCpu >= 0)
        {
            return -Errno.ERESTART;
        }

        int result = PendingTable.Finish(vcpu);
        if (result == 0 && vcpu.KernelRoot != 0)
        {
            ulong frame = vcpu.KernelRoot;
            vcpu.KernelRoot = 0;
            vcpu.State.KernelCr3 = 0;
            result = Drop(vcpu, frame);
        }

        if (result == 0 && vcpu.UserRoot != 0)
        {
            ulong frame = vcpu.UserRoot;
            vcpu.UserRoot = 0;
            vcpu.State.UserCr3 = 0;
            result = Drop(vcpu, frame);
        }

        return result;
    }

    private static int Drop(Vcpu vcpu, ulong frame)
    {
        vcpu.Domain.PageTableLock.Acquire();
        int result = PendingTable.Drop(vcpu, vcpu.Domain, frame, 0);
        vcpu.Domain.PageTableLock.Release();
        return result;
    }

    private static int GetRoot(Vcpu vcpu, ulong frame) =>
        PageTableReference.GetFrame(vcpu.Domain, frame, 4, vcpu, hasReference: false, keepsReference: false);
}
