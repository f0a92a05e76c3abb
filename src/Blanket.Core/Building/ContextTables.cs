using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>The tables that a vcpu_guest_context names: GDT, LDT and the roots of guest kernel and guest user.</summary>
internal static class ContextTables
{
    private const int EntriesPerGdtFrame = Cpu.PageSize / 8;
    private const int RootLevel = 4;

    /// <summary>Takes the tables for a vCPU that does not run; roots that it has already are kept if they are the same.</summary>
    /// <returns>0; -EINVAL and others with nothing taken; -ERESTART to be called again with the same context.</returns>
    internal static long TryInstall(Vcpu vcpu, in VcpuGuestContext context)
    {
        ulong kernelRoot = context.ControlRegisters[3] >> Cpu.PageShift;
        ulong userRoot = context.ControlRegisters[1] >> Cpu.PageShift;
        int result = RemoveOtherRoots(vcpu, kernelRoot, userRoot);
        if (result == 0)
        {
            int gdtFrames = (int)((context.GdtEntries + (EntriesPerGdtFrame - 1)) / EntriesPerGdtFrame);
            System.ReadOnlySpan<ulong> frames = context.GdtFrames;
            result = GuestDescriptorTable.Set(vcpu, frames.Slice(0, gdtFrames), (uint)context.GdtEntries);
        }

        if (result == 0)
        {
            result = TakeRoots(vcpu, kernelRoot, userRoot);
        }

        if (result == 0)
        {
            vcpu.LdtEntries = (uint)context.LdtEntries;
            vcpu.LdtBase = context.LdtEntries == 0 ? 0 : context.LdtBase;
        }
        else if (result != -Errno.ERESTART)
        {
            GuestDescriptorTable.Set(vcpu, default, 0);
        }

        return result;
    }

    // Left from a call that was interrupted, when the guest has changed its mind since.
    private static int RemoveOtherRoots(Vcpu vcpu, ulong kernelRoot, ulong userRoot)
    {
        bool same = (vcpu.KernelRoot == 0 || vcpu.KernelRoot == kernelRoot) && (vcpu.UserRoot == 0 || vcpu.UserRoot == userRoot);
        return same ? PendingTable.Finish(vcpu) : RootTable.Remove(vcpu);
    }

    private static int TakeRoots(Vcpu vcpu, ulong kernelRoot, ulong userRoot)
    {
        Domain domain = vcpu.Domain;
        domain.PageTableLock.Acquire();
        int result = 0;
        if (vcpu.KernelRoot == 0)
        {
            result = TakeKernelRoot(vcpu, kernelRoot);
        }

        if (result == 0 && vcpu.UserRoot == 0 && userRoot != 0)
        {
            result = TakeUserRoot(vcpu, userRoot);
        }

        domain.PageTableLock.Release();
        if (result != 0 && result != -Errno.ERESTART && vcpu.KernelRoot != 0)
        {
            // The call has failed, so the guest's pin or other use is what keeps the kernel's table.
            int removed = RootTable.Remove(vcpu);
            result = removed == 0 ? result : removed;
        }

        return result;
    }

    private static int TakeKernelRoot(Vcpu vcpu, ulong frame)
    {
        int result = frame == 0 ? -Errno.EINVAL : TakeRoot(vcpu, frame);
        if (result == 0)
        {
            vcpu.KernelRoot = frame;
            vcpu.State.KernelCr3 = frame << Cpu.PageShift;
            if (!vcpu.Domain.HasVmAssist(MmuVmAssist.StrictMachineToPhysical))
            {
                HypervisorSlots.ShowMachineToPhysical(frame);
            }
        }

        return result;
    }

    private static int TakeUserRoot(Vcpu vcpu, ulong frame)
    {
        int result = TakeRoot(vcpu, frame);
        if (result == 0)
        {
            vcpu.UserRoot = frame;
            vcpu.State.UserCr3 = frame << Cpu.PageShift;
            if (vcpu.Domain.HasVmAssist(MmuVmAssist.StrictMachineToPhysical))
            {
                HypervisorSlots.HideMachineToPhysical(frame);
            }
        }

        return result;
    }

    private static int TakeRoot(Vcpu vcpu, ulong frame) =>
        PageTableReference.GetFrame(vcpu.Domain, frame, RootLevel, vcpu, hasReference: false, keepsReference: false);
}
