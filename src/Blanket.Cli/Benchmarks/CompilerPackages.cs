using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Cli.Benchmarks;

/// <summary>The C compiler, which only the benchmark needs and therefore installs itself.</summary>
internal static class CompilerPackages
{
    private const string StaticLibrary = "/usr/lib/x86_64-linux-gnu/libc.a";

    /// <summary>Installs what is missing.</summary>
    /// <exception cref="HostException">It cannot be installed.</exception>
    internal static async Task EnsureAsync(Report report, CancellationToken cancellation)
    {
        List<string> missing = [];
        if (Tool.Find("gcc") is null)
        {
            missing.Add("gcc");
        }

        if (!File.Exists(StaticLibrary))
        {
            missing.Add("libc6-dev");
        }

        if (missing.Count > 0)
        {
            report.Step($"installing Debian packages: {string.Join(' ', missing)}");
            await InstallAsync(missing, cancellation).ConfigureAwait(false);
        }
    }

    private static async Task InstallAsync(IReadOnlyList<string> packages, CancellationToken cancellation)
    {
        string[] prefix = Environment.UserName == "root" ? ["env"] : ["sudo", "env"];
        string[] command = [.. prefix, "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "install", "--no-install-recommends", .. packages];
        await Tool.RequireAsync(command[0], command.Skip(1), cancellation: cancellation).ConfigureAwait(false);
    }
}
