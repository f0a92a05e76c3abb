using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Scheduling;

/// <summary>A guest's copy of its vCPU's run-state times (VCPUOP_register_runstate_memory_area).</summary>
public static class RunStateArea
{
    private const int EntryTimeOffset = 8;

    /// <summary>The times as of the last change of state.</summary>
    public static void Read(Vcpu vcpu, out VcpuRunStateInfo info) =>
        RunQueue.ReadTimes(vcpu, out info);

    /// <summary>The times up to now (VCPUOP_get_runstate_info): the state that the vCPU is in counts until this moment.</summary>
    public static void ReadNow(Vcpu vcpu, out VcpuRunStateInfo info)
    {
        Read(vcpu, out info);
        ulong now = SystemTime.Now;
        ulong since = now > info.StateEntryTime ? now - info.StateEntryTime : 0;
        switch ((RunState)info.State)
        {
            case RunState.Running:
                info.TimeRunning += since;
                break;
            case RunState.Runnable:
                info.TimeRunnable += since;
                break;
            case RunState.Blocked:
                info.TimeBlocked += since;
                break;
            default:
                info.TimeOffline += since;
                break;
        }
    }

    /// <summary>Writes the area of a vCPU that has just got this CPU, or is about to leave it; an area that cannot be written is the guest's own loss.</summary>
    public static void Update(Vcpu vcpu)
    {
        ulong area = vcpu.Schedule.RunStateArea;
        bool isStale = area != 0 && vcpu.State.InKernel == 0;
        vcpu.State.RunStateIsStale = isStale ? (byte)1 : (byte)0;
        if (area == 0 || isStale)
        {
            // An address of the guest kernel's, which guest user mode does not map: done when the kernel is entered.
            return;
        }

        Read(vcpu, out VcpuRunStateInfo info);
        if (!vcpu.Domain.HasVmAssist(MmuVmAssist.RunstateUpdateFlag))
        {
            GuestMemory.TryWrite(area, in info);
            return;
        }

        // VMASST_TYPE_runstate_update_flag: readers see XEN_RUNSTATE_UPDATE while the times change.
        ulong entryTime = info.StateEntryTime;
        ulong flagged = entryTime | VcpuRunStateInfo.Update;
        if (!GuestMemory.TryWrite(area + EntryTimeOffset, in flagged))
        {
            return;
        }

        info.StateEntryTime = flagged;
        GuestMemory.TryWrite(area, in info);
        GuestMemory.TryWrite(area + EntryTimeOffset, in entryTime);
    }
}
