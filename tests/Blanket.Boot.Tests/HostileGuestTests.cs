using System.Linq;
using System.Threading.Tasks;
using Blanket.Lab.StockXen;

namespace Blanket.Boot.Tests;

/// <summary>Guests that break the rules get the errno, the exception or their own crash; the guest next to them goes on, and nothing is left behind.</summary>
public sealed class HostileGuestTests
{
    private const int Iterations = 20000;

    // What must cost a domain its life (Blanket.TestKernel, CrashScenarios).
    private static readonly string[] s_deadly =
    [
        "no-trap-table", "handler-nowhere", "handler-in-hypervisor", "stack-nowhere", "stack-in-hypervisor", "stack-not-canonical", "iret-without-frame",
        "iret-from-hypervisor", "iret-without-user-root", "iret-in-multicall", "kernel-unmapped", "user-stack-nowhere", "event-callback-nowhere",
    ];

    /// <summary>Every scenario and every way to crash; on Xen as L0 with a fuzzer besides.</summary>
    [Theory]
    [InlineData(null)]
    [InlineData(XenDomainType.Pvh)]
    public async Task ScenariosEndAsOnXen(XenDomainType? l0)
    {
        BootDirectory directory = BootDirectory.For(l0 is null ? nameof(ScenariosEndAsOnXen) : "Xen-" + nameof(ScenariosEndAsOnXen));
        string[] deadly = [.. s_deadly.Select(name => TestKernel.Write(directory, name, $"crash={name}"))];
        string[] survivors = l0 is null ? ["scenarios"] : ["scenarios", "fuzz1"];
        HostileRun run = await HostileRun.RunAsync(
            directory, [.. survivors.Select(name => Survivor(directory, name)), .. deadly], l0);
        foreach (string name in survivors)
        {
            run.RequirePoweroff(name);
            run.RequireChecks(name);
        }

        foreach (string name in s_deadly)
        {
            run.RequireCrash(name);
        }
    }

    /// <summary>Random hypercalls of fixed seeds, three guests at once.</summary>
    [Fact]
    public async Task FuzzersLeaveNothingBehind()
    {
        BootDirectory directory = BootDirectory.For(nameof(FuzzersLeaveNothingBehind));
        int[] seeds = [1, 2, 11];
        HostileRun run = await HostileRun.RunAsync(directory, [.. seeds.Select(seed => TestKernel.Write(directory, $"fuzz{seed}", $"fuzz={Iterations} seed={seed}"))]);
        foreach (int seed in seeds)
        {
            run.RequirePoweroff($"fuzz{seed}");
            run.RequireChecks($"fuzz{seed}");
        }
    }

    /// <summary>The scenarios need two vCPUs (RunStateScenarios), a disk, and three vifs on one bridge, of which one has addresses (NetScenarios).</summary>
    private static string Survivor(BootDirectory directory, string name) => name == "scenarios"
        ? TestKernel.Write(directory, name, string.Empty, TestGuest.Disks(directory.CreateDisk("hostile.raw", 4)), "vif = [ \"\", \"\", \"mac=00:16:3e:00:00:99, ip=192.0.2.7 2001:db8::7\" ]", "vcpus = 2")
        : TestKernel.Write(directory, name, $"fuzz={Iterations} seed=1");
}
