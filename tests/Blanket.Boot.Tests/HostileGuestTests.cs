using System.Linq;
using System.Threading.Tasks;

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

    [Fact]
    public async Task ScenariosEndAsOnXen()
    {
        BootDirectory directory = BootDirectory.For(nameof(ScenariosEndAsOnXen));
        string[] deadly = [.. s_deadly.Select(name => TestKernel.Write(directory, name, $"crash={name}"))];
        HostileRun run = await HostileRun.RunAsync(directory, [TestKernel.Write(directory, "scenarios", string.Empty), .. deadly]);
        run.RequirePoweroff("scenarios");
        run.RequireChecks("scenarios");
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
}
