plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "dev.edgekit.latency"
    compileSdk = 36

    defaultConfig {
        applicationId = "dev.edgekit.latency"
        minSdk = 26
        targetSdk = 36
        versionCode = 1
        versionName = "1"
        ndk {
            abiFilters += "arm64-v8a"
        }
    }

    // Always debuggable: the host reaches the app's folder by run-as. Native engines run the same code either way; the report says so.
    buildTypes {
        debug {
            isMinifyEnabled = false
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

dependencies {
    implementation(project(":core"))
    implementation(libs.executorch)
    implementation(libs.litert)
    implementation(libs.litert.gpu) // without it LiteRT takes the CPU and does not say so
}
