using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Grants;
using Blanket.Core.Memory;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Kernel.Entry;
using Blanket.Kernel.Services;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>Takes a domain apart, step by step, so that other guests run in between; at the end every frame is free and scrubbed.</summary>
internal static class GuestTeardown
{
    // Looks at a domain's frames before references are looked for that nobody holds: 10 s of GuestManager.WakeLater.
    private const int LongWait = 1000;

    /// <summary>Stops the domain for good.</summary>
    internal static void Begin(Guest guest)
    {
        Domain domain = guest.Domain!;
        domain.IsDying = true;
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            if (vcpu != null)
            {
                Scheduler.Pause(vcpu);
            }
        }

        guest.Teardown = TeardownStep.Vcpus;
        guest.FrameWaits = 0;
        guest.State = GuestState.Destroying;
        GuestManager.Wake();
    }

    /// <summary>Goes on as far as it can now, until work is pending on this CPU.</summary>
    /// <returns>
    /// True when the domain is gone. When false, an event that it waits for, <see cref="GuestManager.Wake"/>, or the next turn
    /// (<see cref="Guest.AwaitsTurn"/>) brings it back here.
    /// </returns>
    internal static bool Run(Guest guest)
    {
        Domain domain = guest.Domain!;
        while (true)
        {
            switch (guest.Teardown)
            {
                case TeardownStep.Vcpus:
                    if (!HaveLeft(domain))
                    {
                        return false;
                    }

                    CancelTimers(domain);
                    guest.Teardown = TeardownStep.Devices;
                    break;
                case TeardownStep.Devices:
                    guest.Devices.DestroyAll();
                    guest.Teardown = TeardownStep.Requests;
                    break;
                case TeardownStep.Requests:
                    if (guest.Devices.Count != 0)
                    {
                        return false;
                    }

                    StoreService.Disconnect(domain);
                    guest.Teardown = TeardownStep.Events;
                    break;
                case TeardownStep.Events:
                    if (domain.Events != null && !domain.Events.TryCloseAll())
                    {
                        return ComeBack(guest);
                    }

                    guest.Teardown = TeardownStep.Memory;
                    break;
                case TeardownStep.Memory:
                    if (DomainTeardown.Run(domain) != 0)
                    {
                        return ComeBack(guest);
                    }

                    guest.Teardown = TeardownStep.Grants;
                    break;
                case TeardownStep.Grants:
                    if (!GrantTeardown.TryReleaseMappings(domain))
                    {
                        return ComeBack(guest);
                    }

                    if (domain.Grants != null && domain.Grants.EntriesInUse != 0)
                    {
                        // Another guest has them mapped, for as long as it likes.
                        GuestManager.WakeLater();
                        return false;
                    }

                    ReleaseTables(domain);
                    guest.Teardown = TeardownStep.Frames;
                    break;
                case TeardownStep.Frames:
                    if (!domain.OwnsNoFrames)
                    {
                        FreeAbandonedFrames(guest, domain);
                        GuestManager.WakeLater();
                        return false;
                    }

                    guest.Teardown = TeardownStep.Records;
                    break;
                case TeardownStep.Records:
                    StoreService.Forget(domain);
                    FrameOwners.Remove(domain);
                    guest.GracePeriod = GracePeriod.Begin();
                    guest.Teardown = TeardownStep.GracePeriod;
                    break;
                default:
                    if (!GracePeriod.IsOver(guest.GracePeriod))
                    {
                        return false;
                    }

                    FreeRecords(guest, domain);
                    return true;
            }
        }
    }

    /// <summary>
    /// Frames that are held for longer than any request takes are held by nobody: an abandoned handler left a reference. Those are dropped.
    /// </summary>
    private static void FreeAbandonedFrames(Guest guest, Domain domain)
    {
        if (++guest.FrameWaits % LongWait == 0)
        {
            CpuParking.ParkOthers();
            int frames = MemoryAudit.Reconcile(domain);
            CpuParking.ReleaseOthers();
            Log.Line("domain "u8).Decimal(domain.Id).Text(" is gone but for frames that something refers to: "u8).Decimal(domain.FrameCount)
                .Text(", shared "u8).Decimal(domain.SharedFrameCount).Text("; dropped references that nobody holds, on frames: "u8).Decimal((uint)frames).End();
        }
    }

    private static bool ComeBack(Guest guest)
    {
        guest.AwaitsTurn = true;
        return false;
    }

    /// <summary>Whether no CPU runs or holds one of its vCPUs, which are all paused. A CPU that lets go of one wakes the manager.</summary>
    private static bool HaveLeft(Domain domain)
    {
        bool left = true;
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            int holder = vcpu == null ? VcpuSchedule.Nowhere : vcpu.Schedule.Holder;
            if (holder != VcpuSchedule.Nowhere)
            {
                Scheduler.Prompt(holder);
                left = false;
            }
        }

        return left;
    }

    private static void CancelTimers(Domain domain)
    {
        domain.Watchdogs.CancelAll();
        domain.Share.CancelTimer();
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            if (vcpu != null)
            {
                TimerQueue.Cancel(vcpu.SingleshotTimer);
                TimerQueue.Cancel(vcpu.PeriodicTimer);
                TimerQueue.Cancel(vcpu.PollTimer);
            }
        }
    }

    private static void ReleaseTables(Domain domain)
    {
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            if (vcpu != null)
            {
                vcpu.Info.Release(vcpu);
            }
        }

        domain.Events?.Release();
        domain.Grants?.Release();
        if (domain.SharedInfoFrame != 0)
        {
            Check.That(SharedFrames.Withdraw(domain.SharedInfoFrame, domain) == 0);
            domain.SharedInfoFrame = 0;
        }
    }

    private static void FreeRecords(Guest guest, Domain domain)
    {
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            if (vcpu != null)
            {
                Scheduler.Remove(vcpu);
                ulong frame = vcpu.StateAddress >> Cpu.PageShift;
                for (ulong i = 0; i < 1UL << VcpuState.Order; i++)
                {
                    PhysicalMemory.ZeroFrame(frame + i);
                }

                FrameAllocator.Free(frame, VcpuState.Order);
            }
        }

        Scheduler.UncountTimers(domain.Vcpus.Length);
        guest.Domain = null;
        guest.Arena.Release();
    }
}
