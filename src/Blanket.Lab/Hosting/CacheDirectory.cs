using System;
using System.IO;
using System.Threading.Tasks;

namespace Blanket.Lab.Hosting;

/// <summary>Where things are kept that can be made again (XDG Base Directory Specification).</summary>
public static class CacheDirectory
{
    /// <summary>The root: <c>$XDG_CACHE_HOME/blanket</c> or <c>~/.cache/blanket</c>.</summary>
    public static string Root
    {
        get
        {
            string? configured = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
            string cache = configured is not null && Path.IsPathFullyQualified(configured)
                ? configured
                : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
            return Path.Combine(cache, "blanket");
        }
    }

    /// <summary>Runs <paramref name="fill"/> on a new directory that takes its name only when that succeeds; done once.</summary>
    public static async Task<string> OnceAsync(string name, Func<string, Task> fill)
    {
        string final = Path.Combine(Root, name);
        if (Directory.Exists(final))
        {
            return final;
        }

        Directory.CreateDirectory(Path.GetDirectoryName(final)!);
        string draft = $"{final}.{Guid.NewGuid():N}";
        Directory.CreateDirectory(draft);
        try
        {
            await fill(draft).ConfigureAwait(false);
            Publish(draft, final);
        }
        finally
        {
            if (Directory.Exists(draft))
            {
                Directory.Delete(draft, recursive: true);
            }
        }

        return final;
    }

    private static void Publish(string draft, string final)
    {
        try
        {
            Directory.Move(draft, final);
        }
        catch (IOException) when (Directory.Exists(final))
        {
            // Another run was faster; its result is as good.
        }
    }
}
