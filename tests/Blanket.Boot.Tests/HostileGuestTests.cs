using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

/// <summary>Guests that break the rules get the errno, the exception or their own crash; the guest next to them goes on, and nothing is left behind.</summary>
public sealed class HostileGuestTests
{
    [Fact]
    public async Task ScenariosEndAsOnXen()
    {
        BootDirectory directory = BootDirectory.For(nameof(ScenariosEndAsOnXen));
        HostileRun run = await HostileRun.RunAsync(directory, [TestKernel.Write(directory, "scenarios", string.Empty)]);
        run.RequirePoweroff("scenarios");
        run.RequireChecks("scenarios");
    }
}
