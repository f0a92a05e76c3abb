using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Grants;
using Blanket.Core.Memory;
using Blanket.Core.Scheduling;
using Blanket.Kernel.Entry;
using Blanket.Kernel.Services;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>Takes a domain apart, step by step, so that other guests run in between; at the end every frame is free and scrubbed.</summary>
internal static class GuestTeardown
{
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

        guest.Teardown = TeardownStep.Devices;
        guest.State = GuestState.Destroying;
        GuestManager.Wake();
    }

    /// <summary>Goes on as far as it can now.</summary>
    /// <returns>True when the domain is gone. When false, an event that it waits for, or <see cref="GuestManager.Wake"/>, brings it back here.</returns>
    internal static bool Run(Guest guest)
    {
        Domain domain = guest.Domain!;
        while (true)
        {
            switch (guest.Teardown)
            {
                case TeardownStep.Devices:
                    StopVcpus(domain);
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
                        return ComeBack();
                    }

                    guest.Teardown = TeardownStep.Memory;
                    break;
                case TeardownStep.Memory:
                    if (DomainTeardown.Run(domain) != 0)
                    {
                        return ComeBack();
                    }

                    guest.Teardown = TeardownStep.Grants;
                    break;
                case TeardownStep.Grants:
                    if (!GrantTeardown.TryReleaseMappings(domain) || (domain.Grants != null && domain.Grants.EntriesInUse != 0))
                    {
                        return ComeBack();
                    }

                    ReleaseTables(domain);
                    guest.Teardown = TeardownStep.Frames;
                    break;
                case TeardownStep.Frames:
                    if (!domain.OwnsNoFrames)
                    {
                        GuestManager.WakeLater();
                        return false;
                    }

                    guest.Teardown = TeardownStep.Records;
                    break;
                default:
                    FreeRecords(guest, domain);
                    return true;
            }
        }
    }

    private static bool ComeBack()
    {
        GuestManager.Wake();
        return false;
    }

    private static void StopVcpus(Domain domain)
    {
        domain.Watchdogs.CancelAll();
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            if (vcpu == null)
            {
                continue;
            }

            Core.Time.TimerQueue timers = Scheduler.Timers(vcpu.Schedule.Cpu);
            timers.Cancel(vcpu.SingleshotTimer);
            timers.Cancel(vcpu.PeriodicTimer);
            timers.Cancel(vcpu.PollTimer);
        }

        VcpuSwitch.Forget(domain);
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
        StoreService.Forget(domain);
        FrameOwners.Remove(domain);
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            if (vcpu != null)
            {
                Scheduler.Timers(vcpu.Schedule.Cpu).Unreserve(Vcpu.TimerCount);
                ulong frame = vcpu.StateAddress >> Cpu.PageShift;
                for (ulong i = 0; i < 1UL << VcpuState.Order; i++)
                {
                    PhysicalMemory.ZeroFrame(frame + i);
                }

                FrameAllocator.Free(frame, VcpuState.Order);
            }
        }

        Scheduler.Timers(0).Unreserve(Core.Time.Watchdogs.Count);
        guest.Domain = null;
        guest.Arena.Release();
    }
}
