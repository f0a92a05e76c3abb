using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Blanket.Lab.Hosting;

/// <summary>Files out of Debian packages, without installing them where that is enough.</summary>
public sealed class DebianPackages(Action<string> report)
{
    /// <summary>A directory with the unpacked files of a package, or of the one that a metapackage stands for.</summary>
    /// <param name="package">Such as <c>linux-image-cloud-amd64</c>.</param>
    /// <param name="realPrefix">What the name of the package that is meant starts with, such as <c>linux-image-</c>.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">No package source has it.</exception>
    public Task<string> UnpackAsync(string package, string? realPrefix, CancellationToken cancellation) =>
        CacheDirectory.OnceAsync(Path.Combine("packages", package), async directory =>
        {
            string real = realPrefix is null ? package : await ResolveAsync(package, realPrefix, cancellation).ConfigureAwait(false);
            await UnpackIntoAsync(real, directory, cancellation).ConfigureAwait(false);
        });

    /// <summary>Downloads a package and unpacks its files into an empty directory, for who needs them once.</summary>
    /// <exception cref="HostException">No package source has it.</exception>
    public async Task UnpackIntoAsync(string package, string directory, CancellationToken cancellation)
    {
        report($"downloading Debian package {package}");
        await DownloadAsync(package, directory, cancellation).ConfigureAwait(false);
        string archive = Directory.EnumerateFiles(directory, "*.deb").Single();
        await Tool.RequireAsync("dpkg-deb", ["-x", archive, directory], cancellation: cancellation).ConfigureAwait(false);
        File.Delete(archive);
    }

    /// <summary>The version of a package that would be downloaded.</summary>
    /// <exception cref="HostException">No package source has it.</exception>
    public async Task<string> VersionAsync(string package, CancellationToken cancellation)
    {
        string? version = await FindVersionAsync(package, cancellation).ConfigureAwait(false);
        if (version is null)
        {
            await UpdateIndexAsync(cancellation).ConfigureAwait(false);
            version = await FindVersionAsync(package, cancellation).ConfigureAwait(false);
        }

        return version ?? throw NoSource(package);
    }

    /// <summary>Installs the packages of programs and files that this host does not have.</summary>
    /// <param name="wanted">Names to be found in PATH or absolute paths, and the packages that have them.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">They cannot be installed.</exception>
    public async Task InstallMissingAsync(IEnumerable<(string Program, string Package)> wanted, CancellationToken cancellation)
    {
        string[] missing = [.. wanted.Where(entry => !HasProgram(entry.Program)).Select(entry => entry.Package).Distinct()];
        if (missing.Length == 0)
        {
            return;
        }

        report($"installing Debian packages: {string.Join(' ', missing)}");
        string[] arguments = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "install", "--no-install-recommends", .. missing];
        try
        {
            await Tool.RequireAsRootAsync("env", arguments, cancellation).ConfigureAwait(false);
        }
        catch (HostException)
        {
            // An old list names versions that are gone.
            await UpdateIndexAsync(cancellation).ConfigureAwait(false);
            await Tool.RequireAsRootAsync("env", arguments, cancellation).ConfigureAwait(false);
        }
    }

    private static bool HasProgram(string program) => Path.IsPathFullyQualified(program) ? Path.Exists(program) : Tool.Find(program) is not null;

    private static HostException NoSource(string package) => new($"no package source has {package}; are Debian's sources configured in /etc/apt?");

    private static async Task<string?> FindVersionAsync(string package, CancellationToken cancellation)
    {
        const string key = "Version: ";
        ToolResult result = await Tool.RunAsync("apt-cache", ["show", "--no-all-versions", package], cancellation: cancellation).ConfigureAwait(false);
        return result.Text.Split('\n').FirstOrDefault(line => line.StartsWith(key, StringComparison.Ordinal))?[key.Length..].Trim();
    }

    private async Task<string> ResolveAsync(string package, string realPrefix, CancellationToken cancellation)
    {
        string? real = await FindDependencyAsync(package, realPrefix, cancellation).ConfigureAwait(false);
        if (real is null)
        {
            await UpdateIndexAsync(cancellation).ConfigureAwait(false);
            real = await FindDependencyAsync(package, realPrefix, cancellation).ConfigureAwait(false);
        }

        return real ?? throw NoSource(package);
    }

    private static async Task<string?> FindDependencyAsync(string package, string realPrefix, CancellationToken cancellation)
    {
        const string key = "Depends: ";
        ToolResult result = await Tool.RunAsync(
            "apt-cache", ["depends", "--no-recommends", "--no-suggests", package], cancellation: cancellation).ConfigureAwait(false);
        return result.Text.Split('\n').Select(line => line.Trim())
            .Where(line => line.StartsWith(key + realPrefix, StringComparison.Ordinal))
            .Select(line => line[key.Length..])
            .FirstOrDefault();
    }

    /// <summary>Downloads; once more with a new index when that fails, because an old index names versions that are gone.</summary>
    private async Task DownloadAsync(string package, string directory, CancellationToken cancellation)
    {
        string[] arguments = ["download", "-q", package];
        ToolResult first = await Tool.RunAsync("apt-get", arguments, default, directory, cancellation: cancellation).ConfigureAwait(false);
        if (first.ExitCode != 0)
        {
            await UpdateIndexAsync(cancellation).ConfigureAwait(false);
            await Tool.RequireAsync("apt-get", arguments, default, directory, cancellation: cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>The lines of a sources.list with this host's sources of a Debian suite, its updates and its security updates.</summary>
    /// <param name="suite">Such as <c>bookworm</c>.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">There is none.</exception>
    public async Task<string> SourcesAsync(string suite, CancellationToken cancellation)
    {
        string sources = await FindSourcesAsync(suite, cancellation).ConfigureAwait(false);
        if (sources.Length == 0)
        {
            await UpdateIndexAsync(cancellation).ConfigureAwait(false);
            sources = await FindSourcesAsync(suite, cancellation).ConfigureAwait(false);
        }

        return sources.Length > 0 ? sources : throw new HostException($"no package source is Debian's {suite}; are Debian's sources configured in /etc/apt?");
    }

    private static async Task<string> FindSourcesAsync(string suite, CancellationToken cancellation)
    {
        string[] suites = [suite, suite + "-updates", suite + "-security"];
        ToolResult result = await Tool.RunAsync(
            "apt-get", ["indextargets", "--format", "$(ORIGIN) $(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages"], cancellation: cancellation).ConfigureAwait(false);
        return string.Concat(result.Text.Split('\n').Select(line => line.Split(' '))
            .Where(words => words.Length == 4 && words[0] == "Debian" && suites.Contains(words[2]))
            .Select(words => $"deb {words[1]} {words[2]} {words[3]}\n").Distinct());
    }

    private async Task UpdateIndexAsync(CancellationToken cancellation)
    {
        report("updating the list of Debian packages");
        await Tool.RequireAsRootAsync("apt-get", ["-q", "update"], cancellation).ConfigureAwait(false);
    }
}
