using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>What one vCPU sees of another that is off its CPU (vcpu.h, "run-state information").</summary>
internal static unsafe class RunStateScenarios
{
    private const int Blocked = 2;
    private const int Offline = 3;

    // Each is a turn of the other vCPU's if it wants one.
    private const int Turns = 1_000_000;

    private static VcpuRunStateInfo s_area;
    private static bool s_isObserved;

    /// <summary>Whether a vCPU that starts is this scenario's.</summary>
    internal static bool IsObserved => s_isObserved;

    /// <summary>The area of a vCPU tells that it went down, and that it waits, without being asked for; the hypercall tells how long.</summary>
    internal static void RunStates()
    {
        Report.True("there is a second vCPU"u8, Vcpus.Count > 1);
        if (Vcpus.Count < 2)
        {
            return;
        }

        s_isObserved = true;
        ulong area = (ulong)Unsafe.AsPointer(ref s_area);
        Report.Equal("register_runstate_memory_area"u8, Hypercall.Vcpu(VcpuOp.RegisterRunStateMemoryArea, 1, &area), 0);
        Vcpus.Start(1);
        Await("it went down"u8, Offline);
        Report.Equal("up"u8, Hypercall.Vcpu(VcpuOp.Up, 1, null), 0);
        Await("it waits"u8, Blocked);

        VcpuRunStateInfo first = default;
        VcpuRunStateInfo second = default;
        Report.Equal("get_runstate_info"u8, Hypercall.Vcpu(VcpuOp.GetRunStateInfo, 1, &first), 0);
        Domain.Yield();
        Report.Equal("get_runstate_info again"u8, Hypercall.Vcpu(VcpuOp.GetRunStateInfo, 1, &second), 0);
        Report.Equal("state"u8, second.State, s_area.State);
        Report.True("since"u8, second.StateEntryTime == s_area.StateEntryTime);
        Report.True("time that it ran"u8, second.TimeRunning == s_area.TimeRunning && s_area.TimeRunning > 0);
        Report.True("time that it was down"u8, second.TimeOffline == s_area.TimeOffline && s_area.TimeOffline > 0);
        Report.True("time that it waits goes on"u8, second.TimeBlocked > first.TimeBlocked && first.TimeBlocked >= s_area.TimeBlocked);
        Report.Equal("down"u8, Hypercall.Vcpu(VcpuOp.Down, 1, null), 0);
        s_isObserved = false;
    }

    /// <summary>What the second vCPU does: goes down, and when it is up again, waits for an event that never comes.</summary>
    internal static void RunSecondary()
    {
        Hypercall.Vcpu(VcpuOp.Down, VcpuRegion.Current->Number, null);
        while (true)
        {
            SchedPoll poll = default;
            Hypercall.Sched(SchedOp.Poll, &poll);
        }
    }

    // Before it has run, its area says that it is down as well, and to bring it up would do nothing.
    private static void Await(ReadOnlySpan<byte> what, int state)
    {
        for (int i = 0; i < Turns && (Volatile.Read(ref s_area.State) != state || Volatile.Read(ref s_area.TimeRunning) == 0); i++)
        {
            Domain.Yield();
        }

        Report.Equal(what, s_area.State, state);
    }
}
