using System;
using System.Text.Json.Nodes;
using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

public sealed class ManyVcpusTests
{
    /// <summary>Environment variable: <c>complete</c> takes all but two vCPUs out of use, which takes Linux a second each on a slow machine.</summary>
    private const string More = "BLANKET_VCPUS";

    private const int Vcpus = 64;
    private const int TimeoutSeconds = 600;

    /// <summary>A guest with as many vCPUs as there can be, on two CPUs: all come up, some go and come again, and nothing is left of it.</summary>
    [Fact]
    public async Task AGuestWith64VcpusComesUpShrinksAndGrows()
    {
        int few = Environment.GetEnvironmentVariable(More) == "complete" ? 2 : 60;
        BootDirectory directory = BootDirectory.For(nameof(AGuestWith64VcpusComesUpShrinksAndGrows));
        TestGuest guest = await TestGuest.CreateAsync();
        string many = guest.Write(directory, "many", "panic=-1 quiet", $"vcpus = {Vcpus}");
        await using (OperatorSession session = await OperatorSession.StartAsync(directory, ["--cpus", "2", many], TimeoutSeconds))
        {
            await session.TypeAsync("many", "echo on''line $(cat /sys/devices/system/cpu/online) $(grep -c ^processor /proc/cpuinfo)", "online 0-63 64");
            await RequireOnlineAsync(session, Vcpus);

            await session.CallAsync("vcpu-set", "many", $"{few}");
            await RequireOnlineAsync(session, few);
            await session.TypeAsync("many", "echo le''ft $(cat /sys/devices/system/cpu/online)", $"left 0-{few - 1}");

            // Linux registers the vCPUs and leaves it to udev's rules to take them into use; this guest has none.
            await session.CallAsync("vcpu-set", "many", $"{Vcpus}");
            await session.TypeAsync(
                "many",
                $"i={few}; while [ $i -lt 64 ]; do f=/sys/devices/system/cpu/cpu$i/online; until [ -e $f ]; do sleep 0.1; done; echo 1 > $f; i=$((i+1)); done; echo ba''ck $(cat /sys/devices/system/cpu/online)",
                "back 0-63");
            await RequireOnlineAsync(session, Vcpus);
            await session.CallAsync("stop", "many");
        }

        Audit.RequireNothingLeft(directory);
        Assert.Contains("event guest-poweroff name=many", directory.ReadLog("blanket"), StringComparison.Ordinal);
    }

    private static Task RequireOnlineAsync(OperatorSession session, int count) =>
        session.AwaitAsync("many", $"{count} vCPUs", many => many is JsonNode node && node["vcpus_online"]!.GetValue<int>() == count);
}
