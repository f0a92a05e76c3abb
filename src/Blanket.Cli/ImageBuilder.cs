using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Cli;

/// <summary>Builds blanket.elf when it is older than what it is made of.</summary>
internal static class ImageBuilder
{
    private static readonly string[] SourceSuffixes = [".cs", ".S", ".csproj", ".props", ".targets", ".ld"];

    /// <summary>The hypervisor's projects; the host side is not in the image.</summary>
    private static readonly string[] HostProjects = ["Blanket.Cli", "Blanket.Lab"];

    /// <summary>Builds if needed.</summary>
    /// <exception cref="HostException">The build failed; the message has the compiler's errors.</exception>
    internal static async Task EnsureAsync(Report report, CancellationToken cancellation)
    {
        if (!IsCurrent())
        {
            await BuildAsync(report, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Builds in any case; MSBuild leaves out what is up to date.</summary>
    internal static async Task BuildAsync(Report report, CancellationToken cancellation)
    {
        report.Step("building blanket.elf");
        string project = Path.Combine(Project.Root, "src", "Blanket.Kernel");
        ToolResult result = await Tool.RunAsync(
            "dotnet", ["build", project, "-p:Flavour=metal", "--nologo", "-v:quiet"], default, Project.Root, cancellation: cancellation).ConfigureAwait(false);
        if (result.ExitCode != 0)
        {
            throw new HostException($"the build of blanket.elf failed:{Environment.NewLine}{FirstErrors(result.Text + result.Error)}");
        }

        // MSBuild keeps an image whose inputs did not change in substance; the time says that it has been looked at.
        File.SetLastWriteTimeUtc(Project.Image, DateTime.UtcNow);
    }

    /// <summary>The first errors, each once; the end of the output when it has none.</summary>
    private static string FirstErrors(string output)
    {
        const int most = 20;
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        string[] errors = [.. lines.Where(line => line.Contains(": error", StringComparison.Ordinal)).Distinct().Take(most)];
        return string.Join(Environment.NewLine, errors.Length > 0 ? errors : lines.TakeLast(most));
    }

    private static bool IsCurrent()
    {
        if (!File.Exists(Project.Image))
        {
            return false;
        }

        DateTime built = File.GetLastWriteTimeUtc(Project.Image);
        return Sources().All(source => File.GetLastWriteTimeUtc(source) <= built);
    }

    private static IEnumerable<string> Sources()
    {
        IEnumerable<string> projects = Directory.EnumerateDirectories(Path.Combine(Project.Root, "src"))
            .Where(directory => !HostProjects.Contains(Path.GetFileName(directory)));
        return projects.Append(Path.Combine(Project.Root, "build"))
            .SelectMany(directory => Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories))
            .Concat(Directory.EnumerateFiles(Project.Root, "Directory.*"))
            .Where(file => SourceSuffixes.Any(suffix => file.EndsWith(suffix, StringComparison.Ordinal)) && !IsGenerated(file));
    }

    private static bool IsGenerated(string file) =>
        file.Contains("/obj/", StringComparison.Ordinal) || file.Contains("/bin/", StringComparison.Ordinal);
}
